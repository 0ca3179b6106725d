"""Shapes in a model: those of inputs and outputs say what the contract says, the rest says nothing.

Shapes of intermediate values (``value_info``) are an exporter's own view of the trace. Other tools
stumble over them where a pass has changed a value's meaning, and every engine infers its own.
"""

import onnx_ir as ir
from dt_runtime.contract import Contract


class NameAxes(ir.passes.InPlacePass):
    """Give the axes of inputs and outputs the contract's names, also where export chose its own."""

    def __init__(self, contract: Contract):
        super().__init__()
        self.contract = contract

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        pairs = (
            (model.graph.inputs, self.contract.inputs),
            (model.graph.outputs, self.contract.outputs),
        )
        for values, specs in pairs:
            for value, spec in zip(values, specs, strict=True):
                value.shape = ir.Shape(spec.shape)
        return ir.passes.PassResult(model, True)


class ForgetShapes(ir.passes.InPlacePass):
    """Forget the shapes and types of all values between inputs and outputs.

    Of initialisers too: their tensors have both.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        for node in ir.traversal.RecursiveGraphIterator(model.graph):
            for value in node.outputs:
                if not value.is_graph_output():
                    value.shape = value.type = None
        for value in model.graph.initializers.values():
            value.shape = value.type = None
        return ir.passes.PassResult(model, True)
