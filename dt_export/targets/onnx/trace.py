"""From a graph to an ONNX model, by torch's dynamo exporter and the passes that follow it."""

import onnx
import onnx_ir as ir
import torch
from dt_runtime.contract import Contract
from torch import nn

from dt_export.graphs.layers import layer_weights
from dt_export.options import OnnxOptions
from dt_export.process.quiet import quietly
from dt_export.targets.example import dynamic_shapes, example_inputs
from dt_export.targets.onnx import scatter
from dt_export.targets.onnx.passes.anonymise import Anonymise
from dt_export.targets.onnx.passes.int8 import QuantiseLayers
from dt_export.targets.onnx.passes.shapes import ForgetShapes, NameAxes
from dt_export.targets.onnx.passes.tags import TagLayers


def trace(module: nn.Module, contract: Contract, options: OnnxOptions) -> onnx.ModelProto:
    """Trace a graph into an ONNX model without a contract."""
    with quietly(), scatter.in_place(module):
        program = torch.onnx.export(
            module,
            example_inputs(contract),
            dynamo=True,
            verbose=False,
            opset_version=options.opset,
            input_names=[spec.name for spec in contract.inputs],
            output_names=[spec.name for spec in contract.outputs],
            dynamic_shapes=dynamic_shapes(module, contract),
            custom_translation_table=scatter.TRANSLATION,
        )
    assert program is not None, "only the exporter without dynamo gives None"
    passes: list[ir.passes.InPlacePass] = [TagLayers(layer_weights(module))]
    if contract.precision == "int8":
        passes.append(QuantiseLayers())
    passes += [NameAxes(contract), ForgetShapes(), Anonymise()]
    return ir.to_proto(ir.passes.Sequential(*passes)(program.model).model)
