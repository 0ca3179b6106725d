"""Weights, biases, statistics, units and layers: wrong from the first timestep of a window."""

import numpy as np
import onnx
from torch import nn

from mutations import breaking
from mutations.breaking import in_graph, rows_swapped, scaled, weight
from mutations.good import Good
from mutations.mutant import Mutant

POLICY = Good("onnx", "policy")
STEP = Good("onnx", "step")
SEQUENCE = Good("onnx", "sequence")
ORT = Good("ort", "step")
SCRIPT = Good("torchscript", "policy")
SLIGHTLY = 1.001
NUMBERS = ("numbers",)


def one(index: int, factor: float = SLIGHTLY):
    """One number of a vector, or one column of a matrix."""

    def change(array: np.ndarray) -> np.ndarray:
        array[..., index] *= factor
        return array

    return change


def epsilons(value: float):
    """Every LayerNorm of the graph."""

    def change(graph: onnx.ModelProto) -> None:
        found = [a for n in graph.graph.node for a in n.attribute if a.name == "epsilon"]
        assert found
        for attribute in found:
            attribute.f = value

    return change


def first_epsilon(value: float):
    def change(graph: onnx.ModelProto) -> None:
        (first, *_) = [a for n in graph.graph.node for a in n.attribute if a.name == "epsilon"]
        first.f = value

    return change


def operator(old: str, new: str, nth: int = 0, **attributes):
    """The nth operator of one kind becomes one of another kind."""

    def change(graph: onnx.ModelProto) -> None:
        node = [n for n in graph.graph.node if n.op_type == old][nth]
        node.op_type = new
        for name, value in attributes.items():
            node.attribute.append(onnx.helper.make_attribute(name, value))

    return change


def bypassed(kind: str, nth: int):
    """The nth operator of a kind hands its input on."""

    def change(graph: onnx.ModelProto) -> None:
        node = [n for n in graph.graph.node if n.op_type == kind][nth]
        del node.input[1:], node.attribute[:]
        node.op_type = "Identity"

    return change


def without_residual(nth: int):
    """A residual connection adds nothing: x + f(x) becomes f(x) + f(x) - x's part is lost."""

    def change(graph: onnx.ModelProto) -> None:
        outputs = {o: n for n in graph.graph.node for o in n.output}
        found = [
            n for n in graph.graph.node
            if n.op_type == "Add" and getattr(outputs.get(n.input[1]), "op_type", "") == "Gemm"
        ]  # fmt: skip
        found[nth].input[0] = found[nth].input[1]

    return change


def swap_blocks(model: nn.Module) -> None:
    first, second, *rest = model.blocks
    model.blocks = nn.ModuleList([second, first, *rest])


def twice(facts):
    """Statistics with which normalising once is what normalising twice would be."""
    mean, std = np.array(facts.state_mean), np.array(facts.state_std)
    return dict(
        state_mean=tuple((mean + mean * std).tolist()), state_std=tuple((std * std).tolist())
    )


def rounded(facts):
    return dict(
        state_mean=tuple(np.round(facts.state_mean, 3).tolist()),
        state_std=tuple(np.round(facts.state_std, 3).tolist()),
    )


MUTANTS = (
    # One thing off by 0.1 %
    Mutant("a weight matrix off by 0.1 %", POLICY, NUMBERS,
           weight("blocks.1.fc.weight", scaled(SLIGHTLY))),
    Mutant("a bias off by 0.1 %", POLICY, NUMBERS,
           weight("blocks.1.fc.bias", scaled(SLIGHTLY)), quick=True),
    Mutant("the bias of an attention off by 0.1 %", STEP, NUMBERS,
           weight("attentions.1.output.bias", scaled(SLIGHTLY))),
    Mutant("the head's bias off by 0.1 %", POLICY, NUMBERS,
           weight("predict_action.bias", scaled(SLIGHTLY))),
    Mutant("one row of the head off by 0.1 %", STEP, NUMBERS,
           weight("predict_action.weight",
                  lambda w: np.concatenate((w[:1] * np.float32(SLIGHTLY), w[1:])))),
    Mutant("the gain of a LayerNorm off by 0.1 %", POLICY, NUMBERS,
           weight("blocks.2.ln_2.weight", scaled(SLIGHTLY))),
    Mutant("the shift of a LayerNorm off by 0.1 %", POLICY, NUMBERS,
           weight("blocks.0.ln_2.bias", scaled(SLIGHTLY))),
    Mutant("the mean of one observation off by 0.1 %", POLICY, NUMBERS,
           weight("joint.offset", one(1))),
    Mutant("the deviation of one observation off by 0.1 %", POLICY, NUMBERS,
           weight("joint.linear.weight", one(3))),
    Mutant("the deviation of one observation off by 0.1 %", ORT, NUMBERS,
           weight("joint.linear.weight", one(6))),
    Mutant("a weight matrix off by 0.1 %", ORT, NUMBERS,
           weight("attentions.2.output.weight", scaled(SLIGHTLY))),
    Mutant("a bias off by 0.1 %", SCRIPT, NUMBERS,
           breaking.model(lambda m: m.blocks[0].proj.bias.mul_(SLIGHTLY))),
    Mutant("one weight of a matrix doubled", POLICY, NUMBERS,
           weight("blocks.0.fc.weight", lambda w: w * (1 + (np.arange(w.size) == 777)
                                                       .reshape(w.shape)))),
    # Units
    Mutant("statistics rounded to 3 decimals", POLICY, NUMBERS, breaking.facts_of(rounded)),
    Mutant("statistics rounded to 3 decimals", SCRIPT, NUMBERS, breaking.facts_of(rounded)),
    Mutant("normalised twice", SCRIPT, NUMBERS, breaking.facts_of(twice)),
    Mutant("normalised twice", STEP, NUMBERS, breaking.facts_of(twice)),
    Mutant("never normalised", SCRIPT, NUMBERS, breaking.facts(state_mean=None, state_std=None)),
    Mutant("never normalised", POLICY, NUMBERS, breaking.facts(state_mean=None, state_std=None)),
    Mutant("return scale of 100", SCRIPT, NUMBERS, breaking.facts(return_scale=100.0)),
    Mutant("return scale off by 0.1 %", POLICY, NUMBERS, weight("joint.linear.weight", one(0))),
    Mutant("returns not scaled", STEP, NUMBERS, weight("joint.linear.weight", one(3, 1000.0))),
    # Order
    Mutant("two layers swapped", POLICY, NUMBERS, breaking.swapped("blocks.0.fc", "blocks.1.fc")),
    Mutant("two blocks swapped", SCRIPT, NUMBERS, breaking.model(swap_blocks)),
    Mutant("two rows of the head swapped", POLICY, NUMBERS,
           weight("predict_action.weight", rows_swapped(0, 2))),
    Mutant("two rows of a layer swapped", STEP, NUMBERS,
           weight("blocks.1.fc.weight", rows_swapped(5, 6))),
    Mutant("two observations swapped", POLICY, NUMBERS,
           weight("joint.linear.weight", rows_swapped(2, 3, axis=1))),
    # Operators
    Mutant("epsilon of 1e-6", POLICY, NUMBERS, in_graph(epsilons(1e-6))),
    Mutant("epsilon of 1e-3", STEP, NUMBERS, in_graph(epsilons(1e-3))),
    Mutant("epsilon of 1e-12 in one LayerNorm", SEQUENCE, NUMBERS,
           in_graph(first_epsilon(1e-12))),
    Mutant("GELU for ReLU", POLICY, NUMBERS, in_graph(operator("Relu", "Gelu", 1))),
    Mutant("leaky ReLU for ReLU", STEP, NUMBERS,
           in_graph(operator("Relu", "LeakyRelu", 0, alpha=0.001))),
    Mutant("no tanh", POLICY, ("numbers", "extreme"), in_graph(operator("Tanh", "Identity"))),
    Mutant("a LayerNorm missing", STEP, NUMBERS, in_graph(bypassed("LayerNormalization", 2))),
    Mutant("the last LayerNorm missing", POLICY, NUMBERS,
           in_graph(bypassed("LayerNormalization", -1))),
    Mutant("a residual connection missing", POLICY, NUMBERS, in_graph(without_residual(1))),
    Mutant("a number that is none", POLICY, NUMBERS,
           weight("predict_action.weight", one(4, float("nan"))), words="not finite"),
)  # fmt: skip
