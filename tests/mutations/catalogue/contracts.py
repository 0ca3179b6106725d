"""Contracts that lie or are missing, and tensors that are not as the contract says."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from mutations.breaking import contract, contract_of, in_graph, no_contract
from mutations.catalogue.caches import SCRIPT_STEP, C
from mutations.catalogue.numbers import ORT, POLICY, SCRIPT, SEQUENCE, STEP
from mutations.good import Good
from mutations.mutant import Mutant

CONTRACT = ("contract",)
D3RLPY = Good("torchscript", "policy", "d3rlpy")


def lie(name, good, breaks, words, **more):
    return Mutant(name, good, CONTRACT, breaks, same_numbers=True, words=words, **more)


def rounded(document):
    state = document["state"]
    state["mean"] = np.round(state["mean"], 3).tolist()
    state["std"] = np.round(state["std"], 3).tolist()


def one_deviation(document):
    document["state"]["std"][2] *= 1.001


def another_model(document):
    """What a policy for another robot would say: 17 observations and 6 actions."""
    document["source"] |= {"model": "walker2d", "sha256": "1" * 64}
    document["state"] |= {"shape": [17], "mean": [0.0] * 17, "std": [1.0] * 17}
    document["action"] |= {"size": 6, "low": [-1.0] * 6, "high": [1.0] * 6}
    sizes = {"states": 17, "actions": 6, "action": 6}
    for spec in document["inputs"] + document["outputs"]:
        if spec["name"] in sizes:
            spec["shape"][-1] = sizes[spec["name"]]


def renamed_axis(document):
    for spec in document["inputs"] + document["outputs"]:
        spec["shape"] = ["sequence" if axis == "batch" else "batch" if axis == "sequence" else axis
                         for axis in spec["shape"]]  # fmt: skip


def reordered(kind):
    def change(document):
        document[kind].reverse()

    return change


def doubles(document):
    document["inputs"][0]["dtype"] = "float64"


def cast_output(dtype):
    """The action in another type."""

    def change(graph: onnx.ModelProto) -> None:
        output = graph.graph.output[0]
        node = next(n for n in graph.graph.node if output.name in n.output)
        node.output[0] = "uncast"
        graph.graph.node.append(helper.make_node("Cast", ["uncast"], [output.name], to=dtype))
        output.type.tensor_type.elem_type = dtype

    return change


def cast_input(graph: onnx.ModelProto) -> None:
    """Timesteps in int32, as many engines like them."""
    value = next(i for i in graph.graph.input if i.name == "timesteps")
    value.type.tensor_type.elem_type = TensorProto.INT32


def renamed_input(graph: onnx.ModelProto) -> None:
    value = next(i for i in graph.graph.input if i.name == "returns_to_go")
    value.name = "rtg"
    for node in graph.graph.node:
        for at, name in enumerate(node.input):
            if name == "returns_to_go":
                node.input[at] = "rtg"


def graph_axes(graph: onnx.ModelProto) -> None:
    for value in (*graph.graph.input, *graph.graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param == "batch":
                axis.dim_param = "N"


MUTANTS = (
    # Facts
    lie("K of 19", POLICY, contract(context_length=19), "context_length", quick=True),
    lie("K of 21", POLICY, contract(context_length=21), "context_length"),
    lie("K of 19", SCRIPT, contract(context_length=19), "context_length"),
    lie("K of 19", STEP, contract(context_length=19), "positions|shape|context|cache"),
    lie("max_ep_len of 1001", POLICY, contract(max_ep_len=1001), "max_ep_len"),
    lie("max_ep_len of 999", SCRIPT_STEP, contract(max_ep_len=999), "max_ep_len"),
    lie("first timestep of 1", STEP, contract(first_timestep=1), "first_timestep"),
    lie("first timestep of 0", D3RLPY, contract(first_timestep=0), "first_timestep"),
    lie("return scale of 100", POLICY, contract(return_scale=100.0), "return_scale"),
    lie("return scale of 100", SEQUENCE, contract(return_scale=100.0), "return_scale"),
    lie("bounds of 0.9", POLICY, contract(action__high=[0.9] * 3), "action high"),
    lie("no bounds", SCRIPT, contract(action__high=None, action__low=None), "action (low|high)"),
    lie("action scale off by 0.1 %", D3RLPY,
        contract_of(lambda d: d["action"].update(scale=[s * 1.001 for s in d["action"]["scale"]])),
        "action scale"),
    lie("target returns of another environment", POLICY, contract(target_returns=[300.0]),
        "target returns"),
    lie("no target returns", STEP, contract(target_returns=[]), "target returns"),
    lie("statistics rounded to 3 decimals", SEQUENCE, contract_of(rounded), "state mean"),
    lie("statistics rounded to 3 decimals", ORT, contract_of(rounded), "state mean"),
    lie("a deviation off by 0.1 %", SCRIPT, contract_of(one_deviation), "state std"),
    lie("another dialect", POLICY, contract(dialect="kzl"), "dialect"),
    lie("weights of another file", STEP, contract(source__sha256="0" * 64), "sha256"),
    lie("max_ep_len of 999", C, contract(max_ep_len=999), "max_ep_len"),
    lie("the contract of another model", POLICY, contract_of(another_model), "states|state size"),
    lie("the contract of another model", SCRIPT, contract_of(another_model), "states|state size"),
    lie("no contract", POLICY, no_contract, "contract", quick=True),
    lie("no contract", SCRIPT, no_contract, "contract"),
    lie("no contract", C, no_contract, "contract"),
    lie("a contract of a later format", STEP, contract(format="2.0"), "format"),
    # Tensors
    lie("inputs in float64", SCRIPT, contract_of(doubles), "states"),
    lie("axes change their names", SCRIPT, contract_of(renamed_axis), "states|axis|shape"),
    Mutant("inputs in another order", SCRIPT, CONTRACT, contract_of(reordered("inputs")),
           same_numbers=True, words="input"),
    Mutant("outputs in another order", Good("torchscript", "sequence"), ("shape",),
           contract_of(reordered("outputs")), same_numbers=True, words="output"),
    Mutant("actions in float64", POLICY, CONTRACT, in_graph(cast_output(TensorProto.DOUBLE)),
           words="float64"),
    Mutant("actions in float16", STEP, CONTRACT, in_graph(cast_output(TensorProto.FLOAT16)),
           words="float16"),
    Mutant("timesteps in int32", POLICY, CONTRACT, in_graph(cast_input), words="int32"),
    Mutant("an input has another name", POLICY, CONTRACT, in_graph(renamed_input),
           words="rtg|returns_to_go"),
    lie("an axis of the graph has another name", POLICY, in_graph(graph_axes), "",
        survives="engines and the runtime take names of axes from the contract, which is right"),
)  # fmt: skip
