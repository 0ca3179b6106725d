"""Masks, attention, positions and timesteps."""

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from mutations import breaking
from mutations.breaking import in_graph, initialiser, scaled, weight
from mutations.catalogue.numbers import POLICY, SCRIPT, SEQUENCE, SLIGHTLY, STEP
from mutations.good import Good
from mutations.mutant import Mutant


def nodes(graph: onnx.ModelProto, kind: str) -> list[onnx.NodeProto]:
    return [n for n in graph.graph.node if n.op_type == kind]


def causal_mask(diagonal: int):
    """The mask hides what is that many tokens ahead, and more."""

    def change(graph: onnx.ModelProto) -> None:
        (node,) = nodes(graph, "Trilu")
        made = numpy_helper.from_array(np.array(diagonal, np.int64), "other_diagonal")
        graph.graph.initializer.append(made)
        node.input[1] = "other_diagonal"

    return change


def padding_mask(value: float):
    """What is added to the score of a padded token."""

    def change(graph: onnx.ModelProto) -> None:
        (node,) = nodes(graph, "Where")
        found = initialiser(graph, node.input[1])
        assert float(numpy_helper.to_array(found)) < -1e4
        found.CopyFrom(numpy_helper.from_array(np.float32(value), found.name))

    return change


class Windowed(nn.Module):
    """A graph whose inputs go through a function first."""

    def __init__(self, graph: nn.Module, change) -> None:
        super().__init__()
        self.graph, self.change = graph, change

    def forward(self, states, actions, returns_to_go, timesteps, attention_mask):
        given = dict(
            states=states, actions=actions, returns_to_go=returns_to_go, timesteps=timesteps,
            attention_mask=attention_mask,
        )  # fmt: skip
        return self.graph(**given | self.change(given))


def windowed(change):
    return breaking.module(lambda graph: Windowed(graph, change))


def forgets_beyond(length: int):
    """Timesteps before the last so many are taken for padding."""

    def change(given):
        mask = given["attention_mask"]
        late = mask.cumsum(1) > mask.sum(1, keepdim=True) - length
        return {"attention_mask": mask * late}

    return change


def sees_ahead(graph: nn.Module) -> nn.Module:
    """A policy graph whose mask hides padding and nothing else."""
    right = graph.mask

    def mask(attention_mask: Tensor, batch: int) -> Tensor:
        added = right(attention_mask, batch)
        return torch.where(added == -torch.inf, 0.0, added)

    graph.mask = mask
    return graph


def wrapped_around(table: np.ndarray) -> np.ndarray:
    table[-1] = table[0]
    return table


def swap_keys_and_values(model: nn.Module) -> None:
    qkv = model.blocks[0].attn.qkv
    query, key, value = qkv.weight.clone().chunk(3)
    qkv.weight.copy_(torch.cat((query, value, key)))


def action_columns(array: np.ndarray) -> np.ndarray:
    """Of the joint embedding of a policy graph: return, 11 states, 3 actions."""
    array[:, 12:] *= np.float32(SLIGHTLY)
    return array


MUTANTS = (
    Mutant("causal mask off by one", POLICY, ("numbers",), in_graph(causal_mask(2))),
    Mutant("no causal mask", SCRIPT, ("numbers",), breaking.module(sees_ahead)),
    Mutant("no padding mask", POLICY, ("padding",), in_graph(padding_mask(0.0)), quick=True),
    Mutant("a padding mask of -10", POLICY, ("padding",), in_graph(padding_mask(-10.0))),
    Mutant("no padding mask", SCRIPT, ("padding",),
           windowed(lambda given: {"attention_mask": given["attention_mask"] * 0 + 1})),
    Mutant("padding mask off by one", SCRIPT, ("padding",),
           windowed(lambda given: {"attention_mask": given["attention_mask"].roll(-1, 1)})),
    Mutant("windows of more than 10 are cut", SCRIPT, ("late",), windowed(forgets_beyond(10)),
           quick=False),
    Mutant("the oldest timestep of a full window is lost", SCRIPT, ("late",),
           windowed(forgets_beyond(19))),
    Mutant("attention sharper by 0.1 %", POLICY, ("numbers", "attention"),
           weight("attentions.1.query.weight", scaled(SLIGHTLY))),
    Mutant("past actions off by 0.1 %", POLICY, ("attention",),
           weight("joint.linear.weight", action_columns)),
    Mutant("past actions are not seen", SCRIPT, ("attention",),
           windowed(lambda given: {"actions": given["actions"] * 0}), quick=True),
    Mutant("returns of the whole window are the last one", SCRIPT, ("attention",),
           windowed(lambda given: {
               "returns_to_go": given["returns_to_go"][:, -1:].expand_as(given["returns_to_go"])})),
    Mutant("keys and values swapped", Good("torchscript", "sequence", "huggingface"),
           ("numbers", "outputs"), breaking.model(swap_keys_and_values)),
    # Timesteps
    Mutant("timestep off by one", POLICY, ("numbers",),
           weight("embed_timestep.weight", lambda w: np.roll(w, 1, axis=0))),
    Mutant("timestep off by one", STEP, ("numbers",),
           weight("embed_timestep.weight", lambda w: np.roll(w, -1, axis=0))),
    Mutant("the last timestep is taken for the first one", POLICY, ("episode end",),
           weight("embed_timestep.weight", wrapped_around), quick=True),
    Mutant("the last timestep is taken for the first one", STEP, ("episode end",),
           weight("embed_timestep.weight", wrapped_around)),
    Mutant("timesteps stop at 500", SEQUENCE, ("numbers", "episode end"),
           weight("embed_timestep.weight",
                  lambda w: w[np.minimum(np.arange(len(w)), 500)])),
)  # fmt: skip
