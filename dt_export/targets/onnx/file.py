"""Target ``onnx``: through torch's dynamo exporter, with dynamic batch and sequence axes.

After the exporter ran, a file is made fit to ship: stack traces and other marks of the machine
that made it are taken out, the contract is put in, and the checker of the onnx package must agree.
"""

from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import torch
from dt_runtime.contract import METADATA_KEY, Contract
from dt_runtime.engine import OnnxEngine
from onnxscript import opset18
from torch import nn

from dt_export.errors import UsageError
from dt_export.graphs import BATCH, SEQUENCE, step
from dt_export.graphs.backbone import GRAPH
from dt_export.process.quiet import quietly
from dt_export.targets.artifact import Opened, example_inputs
from dt_export.targets.onnx import int8, precision
from dt_export.version import __version__

SUFFIX = ".onnx"
NOTE = None
OPSETS = range(20, 24)
DEFAULT_OPSET = 20
TIED = (GRAPH, step.GRAPH)  # graphs with axes that are sums or products of others
LARGEST = 2**31 - 1  # protobuf's limit; a file beyond it would need external data


def trace(module: nn.Module, contract: Contract, opset: int) -> onnx.ModelProto:
    """Trace a graph into an ONNX model without a contract.

    Raises:
        UsageError: the opset is out of range.
    """
    if opset not in OPSETS:
        raise UsageError(f"--opset is {opset}, expected {OPSETS[0]} to {OPSETS[-1]}")
    inputs = example_inputs(contract)
    with quietly():
        program = torch.onnx.export(
            module,
            inputs,
            dynamo=True,
            verbose=False,
            opset_version=opset,
            input_names=[spec.name for spec in contract.inputs],
            output_names=[spec.name for spec in contract.outputs],
            dynamic_shapes=_dynamic_shapes(contract),
            custom_translation_table={torch.ops.dt_export.write.default: _scatter},
        )
    _anonymise(program.model)
    if contract.precision == "int8":
        int8.quantise(program.model)
    _name_axes(program.model, contract)
    return ir.to_proto(program.model)


def write(model: onnx.ModelProto, contract: Contract, path: Path) -> None:
    """Write a model with its contract to ``path``, all in one file, always the same bytes.

    Raises:
        UsageError: the file would be larger than 2 GB.
    """
    del model.metadata_props[:]
    model.metadata_props.add(key=METADATA_KEY, value=contract.to_json())
    size = model.ByteSize()
    if size > LARGEST:
        raise UsageError(f"the model is {size} bytes, and one ONNX file holds at most {LARGEST}")
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def read(path: Path, provider: str = "cpu") -> Opened:
    engine = OnnxEngine(path, provider)
    return Opened(engine.contract, engine.run, engine.provider, engine, precision.found(path))


def read_contract(path: Path) -> Contract:
    """The contract alone: the graph is opened, but not looked into."""
    return OnnxEngine(path).contract


def _scatter(cache: Any, position: Any, new: Any) -> Any:
    """``step.write`` in ONNX."""
    return opset18.ScatterND(cache, position, new)


def _dynamic_shapes(contract: Contract) -> tuple[Any, ...]:
    """One entry an input. Axes with a name of their own keep it; sums are left to be found."""
    named = {name: torch.export.Dim(name) for name in (BATCH, SEQUENCE)}
    if contract.graph in TIED:
        named = {}
    axes = tuple(
        {
            index: named.get(axis, torch.export.Dim.AUTO)
            for index, axis in enumerate(spec.shape)
            if isinstance(axis, str)
        }
        for spec in contract.inputs
    )
    return (axes,) if contract.graph == step.GRAPH else axes  # it takes its inputs as *inputs


def _name_axes(model: ir.Model, contract: Contract) -> None:
    """Give the axes of inputs and outputs the contract's names, also where export chose its own."""
    pairs = ((model.graph.inputs, contract.inputs), (model.graph.outputs, contract.outputs))
    for values, specs in pairs:
        for value, spec in zip(values, specs, strict=True):
            value.shape = ir.Shape(spec.shape)
    if contract.graph in TIED:
        for node in model.graph:
            for value in node.outputs:
                if not value.is_graph_output():
                    value.shape = None


def _anonymise(model: ir.Model) -> None:
    """Take out what the exporter says of itself: stack traces, module paths, doc strings."""
    model.producer_name, model.producer_version = "dt-export", __version__
    model.metadata_props.clear()
    model.doc_string = None
    model.graph.name = "decision_transformer"
    for graph in (model.graph, *model.functions.values()):
        graph.metadata_props.clear()
        graph.doc_string = None
        for node in ir.traversal.RecursiveGraphIterator(graph):
            node.metadata_props.clear()
            node.doc_string = None
            for value in (*node.outputs, *node.inputs):
                if value is not None:
                    _clear(value)
    for value in (*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values()):
        _clear(value)


def _clear(value: ir.Value) -> None:
    value.metadata_props.clear()
    value.doc_string = None
    if value.const_value is not None:
        value.const_value.metadata_props.clear()
        value.const_value.doc_string = None
