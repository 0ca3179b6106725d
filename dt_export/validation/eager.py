"""Eager PyTorch on the windows of an episode: what an artifact's policy should answer."""

from dataclasses import dataclass, field, replace

import numpy as np
from dt_runtime.contract import Contract, TensorSpec
from dt_runtime.schedule import Schedule
from dt_runtime.slots import DEFAULT, fixed_slots

from dt_export.checkpoints import Checkpoint
from dt_export.graphs import graph_of
from dt_export.targets.artifact import Run
from dt_export.validation.reference import reference
from dt_export.validation.threads import one_thread


@dataclass
class Row:
    """An episode so far: what a window is made of. All numbers are raw.

    While an action is computed, there is one state and one return-to-go more than actions.
    """

    target: float
    states: list[np.ndarray] = field(default_factory=list)
    actions: list[np.ndarray] = field(default_factory=list)
    returns_to_go: list[float] = field(default_factory=list)


class Eager:
    """Eager PyTorch's answers to windows.

    Args:
        checkpoint: its model is what answers.
        contract: of the artifact, whose windows these are.
    """

    def __init__(self, checkpoint: Checkpoint, contract: Contract):
        self._raw = as_policy(contract)
        (head,) = self._raw.outputs
        self.head = head.name
        self._run: Run = reference(checkpoint, self._raw)
        self._conditioned = any(spec.name == "returns_to_go" for spec in contract.inputs)
        self._last = contract.first_timestep + contract.max_ep_len - 1

    def answer(self, row: Row, length: int) -> np.ndarray:
        """The action, or the logits, on the last ``length`` timesteps of a row: [A]."""
        after = self._raw.first_timestep + len(row.states)
        inputs = {
            "states": np.stack(row.states[-length:]),
            "actions": np.stack([*row.actions[-length:], no_action(self._raw)][-length:]),
            "returns_to_go": np.array(row.returns_to_go[-length:], np.float32)[:, None],
            "timesteps": np.minimum(np.arange(after - length, after), self._last),
            "attention_mask": np.ones(length, np.int64),
        }
        if not self._conditioned:
            del inputs["returns_to_go"]
        with one_thread():
            outputs = self._run({name: array[None] for name, array in inputs.items()})
        return np.asarray(outputs[self.head][0])

    def choice(self, output: np.ndarray) -> np.ndarray:
        """The action that an answer means: itself, or the index of the largest logit."""
        return np.asarray(output.argmax()) if self.head == "logits" else output


def as_policy(contract: Contract) -> Contract:
    """Raw inputs, one output: the policy graph's, whatever the artifact's graph."""
    head = "logits" if contract.action.kind == "discrete" else "action"
    spec = TensorSpec(head, "float32", ("batch", contract.action.size))
    return replace(contract, graph="policy", outputs=(spec,))


def schedule_of(contract: Contract, slots: int | None = None) -> Schedule:
    """Which window answers at a step; ``slots`` of a step graph, by default the runtime's.

    A policy that sees the window itself sees the last K timesteps, as K slots would.
    """
    context = contract.context_length
    if not graph_of(contract).stepwise:
        return Schedule(context, context)
    return Schedule(context, slots or fixed_slots(contract) or min(DEFAULT, context))


def no_action(contract: Contract) -> np.ndarray:
    """Zeros, or the index 0."""
    discrete, size = contract.action.kind == "discrete", contract.action.size
    return np.zeros((), np.int64) if discrete else np.zeros(size, np.float32)
