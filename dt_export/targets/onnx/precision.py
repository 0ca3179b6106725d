"""What a graph counts in, found out from its operators and weights: no word of its own is believed.

A graph can be made to look like int8, so this chooses no tolerance: a smaller precision counts only
where the user states it too, see ``parity.check``. What makes the difference are the products of
the layers: int8 has every one of them quantised, fp16 has float16 weights in every one of them, and
anything else is fp32, which is the strictest. Embeddings and head are in float32 always (see
passes/int8.py).

Names say nothing here. A product belongs to the layers if its weight is constant, if it reads
normalised tokens, and if another normalisation reads what it gives: that leaves out the head, which
comes after the last one, and the embeddings, which come before tokens are put together.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from dt_export.targets.onnx import ort

FLOAT_PRODUCTS = ("Gemm", "MatMul", "FusedGemm", "FusedMatMul", "GemmFloat8", "Einsum", "Conv")
INTEGER_PRODUCTS = ("DynamicQuantizeMatMul", "MatMulIntegerToFloat")  # as passes/int8.py has them
OTHER_PRODUCTS = ("MatMulInteger", "MatMulNBits", "QGemm", "QLinearMatMul", "QAttention")
PRODUCTS = (*FLOAT_PRODUCTS, *INTEGER_PRODUCTS, *OTHER_PRODUCTS)
NORMALISATIONS = ("LayerNormalization", "SkipLayerNormalization")
SAME = ("Cast", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")  # a weight stays itself
HALF = (onnx.TensorProto.FLOAT16,)
BYTE = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)


@dataclass(frozen=True)
class _Node:
    operator: str
    inputs: tuple[str, ...]  # an empty name is an input that is left out
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class _Graph:
    inputs: frozenset[str]
    constants: Mapping[str, int]  # their types, in ONNX's numbers
    nodes: tuple[_Node, ...]


def found(path: Path) -> str:
    """``fp32``, ``fp16`` or ``int8``: what the graph of an ONNX or ORT file counts in."""
    graph = _of_ort(path) if path.suffix == ort.SUFFIX else _of_onnx(path)
    return "fp32" if graph is None else _precision(graph)


def _precision(graph: _Graph) -> str:
    known = _values(graph)
    kinds = {_speaks_of(node, known) for node in _layer_products(graph, known)}
    return next(iter(kinds)) if len(kinds) == 1 else "fp32"


@dataclass(frozen=True)
class _Value:
    """``read`` are inputs of the graph that it depends on, two at most; none for a constant."""

    read: frozenset[str]
    kind: int | None = None  # of a constant: its type, in ONNX's numbers


_UNKNOWN = _Value(frozenset([""]))  # depends on something that nobody gives


def _values(graph: _Graph) -> dict[str, _Value]:
    """What is known of every value, each node being looked at once, in whatever order they come."""
    known = {name: _Value(frozenset([name])) for name in graph.inputs}
    known |= {name: _Value(frozenset(), kind) for name, kind in graph.constants.items()}
    readers: dict[str, list[int]] = defaultdict(list)
    missing = [0] * len(graph.nodes)
    for index, node in enumerate(graph.nodes):
        for name in {name for name in node.inputs if name and name not in known}:
            readers[name].append(index)
            missing[index] += 1
    ready = [index for index, count in enumerate(missing) if not count]
    while ready:
        node = graph.nodes[ready.pop()]
        given = [known[name] for name in node.inputs if name]
        union = frozenset().union(*(value.read for value in given))
        same = node.operator in SAME and given
        value = _Value(frozenset(sorted(union)[:2]), given[0].kind if same else None)
        for name in node.outputs:
            known.setdefault(name, value)
            for index in readers.pop(name, ()):
                missing[index] -= 1
                if not missing[index]:
                    ready.append(index)
    return known


def _layer_products(graph: _Graph, known: Mapping[str, _Value]) -> list[_Node]:
    def several(name: str) -> bool:  # tokens are made of several inputs, an observation of one
        return len(known.get(name, _UNKNOWN).read) > 1

    normalised = [
        node
        for node in graph.nodes
        if node.operator in NORMALISATIONS and any(several(name) for name in node.inputs)
    ]
    readers: dict[str, list[_Node]] = defaultdict(list)
    writers: dict[str, list[_Node]] = defaultdict(list)
    for node in graph.nodes:
        for name in node.inputs:
            if name:
                readers[name].append(node)
        for name in node.outputs:
            writers[name].append(node)
    after = _reached((name for n in normalised for name in n.outputs), readers, "outputs")
    before = _reached((name for n in normalised for name in n.inputs), writers, "inputs")
    return [
        node
        for node in graph.nodes
        if node.operator in PRODUCTS
        and any(not known.get(name, _UNKNOWN).read for name in node.inputs[:2])
        and any(name in after for name in node.inputs)
        and any(name in before for name in node.outputs)
    ]


def _reached(start: Iterable[str], nodes: Mapping[str, list[_Node]], side: str) -> set[str]:
    """All values that can be reached from these, through ``nodes`` that touch them."""
    todo = [name for name in start if name]
    reached = set(todo)
    while todo:
        for node in nodes.get(todo.pop(), ()):
            new = [name for name in getattr(node, side) if name and name not in reached]
            reached.update(new)
            todo += new
    return reached


def _speaks_of(node: _Node, known: Mapping[str, _Value]) -> str:
    """The precision that the weight of a product speaks of."""
    values = (known.get(name, _UNKNOWN) for name in node.inputs[:2])
    kind = next(value.kind for value in values if not value.read)
    if node.operator in INTEGER_PRODUCTS and kind in BYTE:
        return "int8"
    return "fp16" if node.operator in FLOAT_PRODUCTS and kind in HALF else "fp32"


def _of_onnx(path: Path) -> _Graph | None:
    """The graph of an ONNX file; None for one with functions or branches, which we never write."""
    model = onnx.load(path, load_external_data=False)
    graph = model.graph
    constants = {tensor.name: tensor.data_type for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            return None
        nodes.append(_Node(node.op_type, tuple(node.input), tuple(node.output)))
        if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
            constants[node.output[0]] = node.attribute[0].t.data_type
    inputs = frozenset(value.name for value in graph.input) - set(constants)
    return None if model.functions else _Graph(inputs, constants, tuple(nodes))


def _of_ort(path: Path) -> _Graph:
    graph = ort.graph(path)
    tensors = (graph.Initializers(i) for i in range(graph.InitializersLength()))
    constants = {tensor.Name().decode(): tensor.DataType() for tensor in tensors}
    nodes = []
    for node in (graph.Nodes(i) for i in range(graph.NodesLength())):
        nodes.append(
            _Node(
                node.OpType().decode(),
                tuple(node.Inputs(i).decode() for i in range(node.InputsLength())),
                tuple(node.Outputs(i).decode() for i in range(node.OutputsLength())),
            )
        )
    inputs = {graph.Inputs(i).decode() for i in range(graph.InputsLength())}
    return _Graph(frozenset(inputs - set(constants)), constants, tuple(nodes))
