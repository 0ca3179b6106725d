"""int8 weights for ONNX Runtime's CPU provider: products of a traced graph, rewritten.

A Gemm inside a layer becomes one ``com.microsoft.DynamicQuantizeMatMul``; several that read the
same tensor (query, key and value of many heads) share one DynamicQuantizeLinear. Weights are
symmetric, one scale a matrix: q = round(w / scale), scale = max|w| / 127. Activations are quantised
by the operator at each run, asymmetric uint8, one scale for the whole tensor.

Measured against it on this graph: one scale a column is a sixth slower for a quarter less error;
MatMulNBits is slower than fp32 at the 59 rows of a policy; static scales gain 2 % and want
calibration; uint8 weights are half as fast as int8.

What stays in fp32: the embeddings and the head, see ``graphs.layers.layer_weights``.
"""

from collections import defaultdict

import numpy as np
import onnx_ir as ir

from dt_export.targets.onnx.passes.tags import in_layer

DOMAIN = "com.microsoft"
LEVELS = 127


class QuantiseLayers(ir.passes.InPlacePass):
    """Quantise the products whose weights are tagged as matrices of layers."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        by_input: dict[ir.Value, list[ir.Node]] = defaultdict(list)
        for node in model.graph:
            source = node.inputs[0] if node.inputs else None
            if node.op_type == "Gemm" and source is not None and in_layer(node.inputs[1]):
                by_input[source].append(node)
        for source, gemms in by_input.items():
            if len(gemms) == 1:
                _replace(model.graph, gemms[0], "DynamicQuantizeMatMul", [source], [])
                continue
            shared = ir.Node("", "DynamicQuantizeLinear", [source], num_outputs=3)
            for value, part in zip(shared.outputs, ("u8", "scale", "zero"), strict=True):
                value.name = f"{source.name}.{part}"
            gemms[0].prepend(shared)
            numbers, scale, zero = shared.outputs
            for gemm in gemms:
                _replace(model.graph, gemm, "MatMulIntegerToFloat", [numbers], [scale], [zero])
        model.graph.opset_imports[DOMAIN] = 1
        for name in [n for n, value in model.graph.initializers.items() if not value.uses()]:
            del model.graph.initializers[name]
        return ir.passes.PassResult(model, True)


def _replace(
    graph: ir.Graph,
    gemm: ir.Node,
    operator: str,
    source: list[ir.Value],
    scales: list[ir.Value],
    zeros: list[ir.Value] | None = None,
) -> None:
    """Both operators take: input, weight, [scale of the input,] scale, [zero,] no zero, bias."""
    weight = gemm.inputs[1]
    assert weight is not None and weight.const_value is not None, "tagged values are initialisers"
    bias = gemm.inputs[2] if len(gemm.inputs) > 2 else None
    columns = weight.const_value.numpy()
    if gemm.attributes.get_int("transB", 0):
        columns = columns.T
    numbers, scale = quantise_weight(columns)
    made = []
    for part, array in (("int8", numbers), ("int8_scale", scale)):
        tensor = ir.tensor(array)
        value = ir.Value(name=f"{weight.name}.{part}", const_value=tensor)
        value.shape, value.dtype = ir.Shape(array.shape), tensor.dtype
        graph.register_initializer(value)
        made.append(value)
    inputs = [*source, made[0], *scales, made[1], *(zeros or []), None, bias]
    node = ir.Node(DOMAIN, operator, inputs, num_outputs=1)
    old, new = gemm.outputs[0], node.outputs[0]
    new.name, new.shape, new.type = old.name, old.shape, old.type
    gemm.append(node)
    ir.convenience.replace_all_uses_with(old, new)
    graph.remove(gemm, safe=True)


def quantise_weight(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8 numbers of the same shape and their scale, a scalar."""
    largest = np.abs(weight).max()
    scale = np.float32(largest / LEVELS if largest > 0 else 1.0)
    numbers = np.clip(np.rint(weight / scale), -LEVELS, LEVELS).astype(np.int8)
    return np.ascontiguousarray(numbers), np.asarray(scale)
