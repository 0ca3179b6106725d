"""Slots and caches: of step graphs, whose masks the runtime fills, and of C, which fills them."""

import onnx
import torch
from torch import Tensor, nn

from mutations import breaking
from mutations.breaking import in_graph, in_source
from mutations.catalogue.numbers import STEP
from mutations.good import Good
from mutations.mutant import Mutant

SCRIPT_STEP = Good("torchscript", "step")
C = Good("c", "step")


class Given(nn.Module):
    """A step graph of which some inputs go through a function first."""

    def __init__(self, graph: nn.Module, change) -> None:
        super().__init__()
        self.graph, self.change = graph, change

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(self.graph.inputs, inputs, strict=True))
        return self.graph(*(given | self.change(given)).values())


def given(change):
    return breaking.module(lambda graph: Given(graph, change))


def slots_of(inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Of every row of [B * G, ...] its number, and how many slots there are."""
    rows = inputs["states"].shape[0]
    return torch.arange(rows), rows // inputs["query_index"].shape[0]


def first_slot_answers(inputs):
    _, slots = slots_of(inputs)
    index = torch.arange(inputs["query_index"].shape[0]) * slots * 3 + 2
    return {"query_index": index}


def never_restarted(inputs):
    """The second slot of a row goes on seeing whatever its cache holds."""
    rows, slots = slots_of(inputs)
    second = (rows % slots == 1)[:, None, None]
    filled = (inputs["past_hidden_0"] != 0).any(-1) & second  # [R, 1, C]
    bias = inputs["attention_bias"]
    return {"attention_bias": torch.where(filled[:, :, None], bias.clamp(min=0.0), bias)}


def sees_what_is_hidden(inputs):
    filled = (inputs["past_hidden_0"] != 0).any(-1)[:, :, None]
    bias = inputs["attention_bias"]
    return {"attention_bias": torch.where(filled, bias.clamp(min=-8.0), bias)}


def rows_reversed(inputs):
    """A row writes into the cache of another one."""
    where = inputs["cache_indices"]
    row = inputs["states"].shape[0] - 1 - where[:, :1]
    return {"cache_indices": torch.cat((row, where[:, 1:]), 1)}


def one_place_late(inputs):
    where = inputs["cache_indices"]
    positions = inputs["past_hidden_0"].shape[2]
    return {"cache_indices": torch.cat((where[:, :2], (where[:, 2:] + 3) % positions), 1)}


def not_written(graph: onnx.ModelProto) -> None:
    """A cache comes out as it went in."""
    output = next(o for o in graph.graph.output if o.name == "present_hidden_1")
    node = next(n for n in graph.graph.node if output.name in n.output)
    node.output[0] = "grown"
    for other in graph.graph.node:
        for at, name in enumerate(other.input):
            if name == output.name:
                other.input[at] = "grown"
    graph.graph.node.append(onnx.helper.make_node("Identity", ["past_hidden_1"], [output.name]))


def caches_swapped(graph: onnx.ModelProto) -> None:
    """Two layers hand out each other's cache."""
    names = {"present_hidden_0": "present_hidden_1", "present_hidden_1": "present_hidden_0"}
    for node in graph.graph.node:
        for values in (node.input, node.output):
            for at, name in enumerate(values):
                values[at] = names.get(name, name)


MUTANTS = (
    # A step graph
    Mutant("the first slot always answers", SCRIPT_STEP, ("slots",), given(first_slot_answers)),
    Mutant("one slot never begins again", SCRIPT_STEP, ("slots",), given(never_restarted),
           quick=False),
    Mutant("hidden tokens are still seen a little", SCRIPT_STEP, ("slots", "restart"),
           given(sees_what_is_hidden)),
    Mutant("rows write into each other's cache", SCRIPT_STEP, ("rows", "slots"),
           given(rows_reversed)),
    Mutant("tokens are written one place late", SCRIPT_STEP, ("numbers", "attention"),
           given(one_place_late)),
    Mutant("a cache is never written", STEP, ("attention",), in_graph(not_written)),
    Mutant("two caches swapped", STEP, ("attention",), in_graph(caches_swapped)),
    # C
    Mutant("a reset leaves the past", C, ("past",),
           in_source(("    policy->elapsed = 0;\n", ""))),
    Mutant("a return-to-go keeps a part of the episode before", C, ("restart",),
           in_source(("    policy->last_index = 0;\n",
                      "    policy->last_index = policy->started == STARTED ? 300 : 0;\n"),
                     ("(float)left / HOPPER_RETURN_SCALE",
                      "(float)(left + p->last_index) / HOPPER_RETURN_SCALE"))),
    Mutant("one slot never begins again", C, ("slots",),
           in_source(("        base[slot] = TOKENS * (int)(length - 1);\n",
                      "        base[slot] = TOKENS * (int)(length - 1);\n"
                      "        if (slot == 1 && t >= 20) base[slot] = TOKENS * 19;\n"))),
    Mutant("the first slot always answers", C, ("slots",),
           in_source(("answering = slot;", "answering = 0;"))),
    Mutant("two slots begin together", C, ("past",),
           in_source(("(uint64_t)(slot * HOPPER_CONTEXT_LENGTH / SLOTS)",
                      "(uint64_t)(slot / 2 * 2 * HOPPER_CONTEXT_LENGTH / SLOTS)"))),
    Mutant("one slot is not written", C, ("slots",),
           in_source(("    for (slot = 0; slot < SLOTS; slot++)\n"
                      "        native_remember(",
                      "    for (slot = 0; slot < SLOTS; slot++)\n"
                      "        if (slot != 2) native_remember("))),
    Mutant("rewards are not subtracted", C, ("past",),
           in_source(("        left -= reward;\n", ""))),
    Mutant("rewards are added", C, ("past",),
           in_source(("left -= reward", "left += reward"))),
    Mutant("the timestep of the last action is off by one", C, ("attention",),
           in_source(("t ? hopper_timestep_of(t - 1)", "t ? timestep"))),
    Mutant("timesteps do not stop at the last one", C, ("episode end",),
           in_source(("#define HOPPER_MAX_EP_LEN 1000", "#define HOPPER_MAX_EP_LEN 999"))),
    Mutant("the first timestep is 1", C, ("past",),
           in_source(("#define HOPPER_FIRST_TIMESTEP 0", "#define HOPPER_FIRST_TIMESTEP 1"),
                     ("#define HOPPER_MAX_EP_LEN 1000", "#define HOPPER_MAX_EP_LEN 999"))),
    Mutant("the causal mask is off by one", C, ("numbers",),
           in_source(("base + token + r + 1, whole", "base + token + r + 2, whole"))),
    Mutant("epsilon of 1e-6", C, ("numbers",),
           in_source(("#define HOPPER_EPSILON 0x1.4f8b58p-17f", "#define HOPPER_EPSILON 1e-6f"))),
    Mutant("GELU for ReLU", C, ("numbers",),
           in_source(("#define HOPPER_ACTIVATION HOPPER_RELU",
                      "#define HOPPER_ACTIVATION HOPPER_GELU"))),
    Mutant("no tanh", C, ("numbers", "extreme"),
           in_source(("#define HOPPER_ACTION_TANH 1", "#define HOPPER_ACTION_TANH 0"))),
    Mutant("return scale of 100", C, ("numbers",),
           in_source(("#define HOPPER_RETURN_SCALE 1000.0f",
                      "#define HOPPER_RETURN_SCALE 100.0f"))),
    Mutant("never normalised", C, ("numbers",),
           in_source(("state[i] = (state[i] - mean[i]) / std[i];", "(void)mean; (void)std;"))),
    Mutant("normalised twice", C, ("numbers",),
           in_source(("state[i] = (state[i] - mean[i]) / std[i];",
                      "state[i] = ((state[i] - mean[i]) / std[i] - mean[i]) / std[i];"))),
    Mutant("an exponential off by 1e-5", C, ("numbers", "attention"),
           in_source(("0.499999911f", "0.5001f"))),
    Mutant("an exponential off by 1e-6", C, ("numbers",),
           in_source(("0.166664109f", "0.1667f")),
           survives="actions change by 3 times the rounding, and 4 times are allowed"),
    Mutant("a bias off by 0.1 %", C, ("numbers",),
           breaking.model(lambda m: m.blocks[1].fc.bias.mul_(1.001))),
    Mutant("two layers swapped", C, ("numbers",),
           breaking.model(lambda m: m.blocks.__setattr__("_modules", dict(
               zip("012", (m.blocks[1], m.blocks[0], m.blocks[2]), strict=True))))),
    Mutant("a reset leaves the last action", C, ("restart",),
           in_source(("    memset(policy->last_action, 0, sizeof policy->last_action);\n", "")),
           same_numbers=True,
           survives="no window looks at the action before its first timestep, so none changes"),
)  # fmt: skip
