"""ONNX files as what they are: a graph with lies in it, under a contract with lies in it."""

import json
import random
from typing import Any

import onnx
from dt_runtime.contract import METADATA_KEY

from fuzz.mutations import documents


def contract(content: bytes) -> dict[str, Any]:
    model = onnx.load_from_string(content)
    return json.loads(next(p.value for p in model.metadata_props if p.key == METADATA_KEY))


def with_contract(content: bytes, text: str) -> bytes:
    model = onnx.load_from_string(content)
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            entry.value = text
    return model.SerializeToString()


def mutate(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    model = onnx.load_from_string(content)
    graph = model.graph
    node, weight = rng.choice(graph.node), rng.choice(graph.initializer)
    value = rng.choice((*graph.input, *graph.output))
    name = rng.choice(
        ("op_type", "domain", "drop node", "double node", "cycle", "dims", "data", "type",
         "external", "opset", "ir", "metadata", "no metadata", "axis", "element", "attribute",
         "rename", "function", "wide input")
    )  # fmt: skip
    match name:
        case "op_type":
            node.op_type = rng.choice(
                ("Nothing", "Loop", "If", "PyOp", "", "Add", "QuantizeLinear")
            )
        case "domain":
            node.domain = rng.choice(("com.microsoft", "ai.onnx.ml", "nobody", "ai.onnx.training"))
        case "drop node":
            graph.node.remove(node)
        case "double node":
            graph.node.append(node)
        case "cycle" if node.input:
            node.input[0] = node.output[0]
        case "dims" if weight.dims:
            weight.dims[0] = rng.choice((0, -1, 1, 10**6, 10**12, 2**62))
        case "data":
            weight.raw_data = weight.raw_data[: rng.randrange(len(weight.raw_data) + 1)]
        case "type":
            weight.data_type = rng.choice((0, 2, 7, 8, 10, 11, 16, 99))
        case "external":
            weight.ClearField("raw_data")
            weight.data_location = onnx.TensorProto.EXTERNAL
            for key, text in (("location", rng.choice(("/etc/hostname", "../x", "model.onnx", ""))),
                              ("offset", rng.choice(("0", "-1", "9" * 30)))):  # fmt: skip
                weight.external_data.add(key=key, value=text)
        case "opset":
            model.opset_import[0].version = rng.choice((0, -1, 1, 7, 999, 2**40))
        case "ir":
            model.ir_version = rng.choice((0, -1, 1, 999))
        case "metadata":
            edited = documents.edited(rng, contract(content))
            return with_contract(content, documents.dumps(edited)), "contract edit"
        case "no metadata":
            del model.metadata_props[:]
        case "axis" if value.type.tensor_type.shape.dim:
            axis = rng.choice(value.type.tensor_type.shape.dim)
            axis.dim_value = rng.choice((0, -1, 1, 3, 10**12))
        case "element":
            value.type.tensor_type.elem_type = rng.choice((0, 2, 7, 8, 11, 99))
        case "attribute" if node.attribute:
            attribute = rng.choice(node.attribute)
            attribute.i, attribute.type = rng.choice((-1, 0, 10**9)), rng.choice((2, 2, 7, 0))
        case "rename":
            value.name = rng.choice(("states", "", "action", "x" * 5000))
        case "function":
            model.functions.add(name=node.op_type, domain=node.domain)
        case "wide input":
            graph.input.append(value)
    return model.SerializeToString(), f"proto {name}"
