"""What the exporter says of itself and of the machine is taken out of a model."""

import onnx_ir as ir

from dt_export.version import __version__


class Anonymise(ir.passes.InPlacePass):
    """Take out stack traces, module paths, doc strings and tags."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        model.producer_name, model.producer_version = "dt-export", __version__
        model.metadata_props.clear()
        model.doc_string = None
        model.graph.name = "decision_transformer"
        graphs: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
        for graph in graphs:
            graph.metadata_props.clear()
            graph.doc_string = None
            for node in ir.traversal.RecursiveGraphIterator(graph):
                node.metadata_props.clear()
                node.doc_string = None
                for value in (*node.outputs, *node.inputs):
                    if value is not None:
                        _clear(value)
        ends = (*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values())
        for value in ends:
            _clear(value)
        return ir.passes.PassResult(model, True)


def _clear(value: ir.Value) -> None:
    value.metadata_props.clear()
    value.doc_string = None
    if value.const_value is not None:
        value.const_value.metadata_props.clear()
        value.const_value.doc_string = None
