"""int8 and fp16, whose bounds are wider, and the backbone."""

import numpy as np
import onnx
from onnx import numpy_helper

from mutations import breaking
from mutations.breaking import contract, in_graph, initialiser, scaled, weight
from mutations.catalogue.attention import nodes
from mutations.catalogue.numbers import POLICY
from mutations.good import Good
from mutations.mutant import Mutant

INT8 = Good("onnx", "policy", precision="int8")
INT8_STEP = Good("onnx", "step", precision="int8")
FP16 = Good("onnx", "policy", precision="fp16")
BACKBONE = Good("torchscript", "backbone", "huggingface")
FINITE = "not finite"
NUMBERS = ("numbers",)


def overflow(graph: onnx.ModelProto) -> None:
    """A layer whose numbers grow beyond float16, and whose next one makes them small again."""
    for name, factor in (
        ("1.fc.weight", 2.0**16),
        ("1.fc.bias", 2.0**16),
        ("1.proj.weight", 2.0**-16),
    ):
        breaking.edit(graph, name, scaled(factor))


def gelu(graph: onnx.ModelProto) -> None:
    for node in nodes(graph, "Relu"):
        node.op_type = "Gelu"


def infinite_padding(graph: onnx.ModelProto) -> None:
    """Padding hidden by minus infinity, which leaves rows of padding without any number."""
    (node,) = nodes(graph, "Where")
    found = initialiser(graph, node.input[1])
    dtype = numpy_helper.to_array(found).dtype
    found.CopyFrom(numpy_helper.from_array(np.asarray(-np.inf, dtype), found.name))


MUTANTS = (
    Mutant("a scale off by a factor of 2", INT8, NUMBERS,
           weight("1.fc.weight.int8_scale", scaled(2.0))),
    Mutant("rows of integers swapped", INT8, NUMBERS,
           weight("attentions.1.output.weight.int8", lambda w: np.roll(w, 1, axis=0))),
    Mutant("4 bits for 8", INT8_STEP, NUMBERS,
           weight("2.fc.weight.int8", lambda w: w // 32 * 32)),
    Mutant("timestep off by one", INT8, NUMBERS,
           weight("embed_timestep.weight", lambda w: np.roll(w, 20, 0))),
    Mutant("never normalised", INT8_STEP, NUMBERS,
           breaking.facts(state_mean=None, state_std=None)),
    Mutant("the contract says fp32", INT8, ("precision",), contract(precision="fp32"),
           same_numbers=True),
    Mutant("the contract says int8", POLICY, ("precision",), contract(precision="int8"),
           same_numbers=True),
    Mutant("numbers beyond float16", FP16, ("numbers", "extreme"), in_graph(overflow),
           words=FINITE),
    Mutant("padding hidden by minus infinity", FP16, ("padding",), in_graph(infinite_padding),
           words=FINITE),
    Mutant("the head off by 2 %", FP16, NUMBERS,
           weight("predict_action.weight", scaled(1.02))),
    Mutant("GELU for ReLU", FP16, NUMBERS, in_graph(gelu)),
    # The backbone
    Mutant("positions off by one", BACKBONE, ("numbers", "outputs"),
           breaking.model(lambda m: m.wpe.weight.copy_(m.wpe.weight.roll(1, 0)))),
    Mutant("a bias off by 0.1 %", BACKBONE, ("outputs", "numbers"),
           breaking.model(lambda m: m.blocks[1].proj.bias.mul_(1.001))),
)  # fmt: skip
