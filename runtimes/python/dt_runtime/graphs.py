"""The graphs that a policy can run, and what it needs to know of each."""

from collections.abc import Callable
from dataclasses import dataclass

from dt_runtime.checks import DEFAULT_SLOTS
from dt_runtime.contract import Contract
from dt_runtime.errors import ArgumentError
from dt_runtime.protocols import Memory
from dt_runtime.slots import Slots, fixed_slots
from dt_runtime.window import Window


@dataclass(frozen=True)
class Graph:
    """One kind of graph, as a policy sees it."""

    memory: Callable[[Contract, int, int | str | None, bool], Memory]  # see ``_window``
    raw: bool  # statistics and scales are inside the graph; otherwise the policy applies them
    continuous: str  # the output that holds the actions
    discrete: str  # the output that holds the logits
    every_timestep: bool = False  # that output is [B, T, A], of which the last timestep counts

    def output(self, contract: Contract) -> str:
        """The name of the output that the actions come from."""
        return self.discrete if contract.action.kind == "discrete" else self.continuous


def _window(contract: Contract, rows: int, slots: int | str | None, one_shape: bool) -> Window:
    """The last K timesteps of each row; all padded to K if the engine wants one shape.

    Raises:
        ValueError: ``slots`` is given, or there are more rows than memory should hold.
    """
    if slots is not None:
        raise ArgumentError(
            f"slots is {slots!r}, but the artifact's graph is {contract.graph!r}: only a step "
            "graph has caches (`dt-export onnx --graph step`)"
        )
    return Window(contract, rows, padded=one_shape)


def _slots(contract: Contract, rows: int, slots: int | str | None, one_shape: bool) -> Slots:
    """Caches for all rows; a step graph has one shape in any case.

    Raises:
        ValueError: that number of slots is not possible, or there are more rows than memory should
            hold.
    """
    default = fixed_slots(contract) or min(DEFAULT_SLOTS, contract.context_length)
    return Slots(contract, rows, default if slots is None else slots)


GRAPHS = {
    "policy": Graph(_window, raw=True, continuous="action", discrete="logits"),
    "step": Graph(_slots, raw=True, continuous="action", discrete="logits"),
    "sequence": Graph(
        _window,
        raw=False,
        continuous="action_preds",
        discrete="action_preds",
        every_timestep=True,
    ),
}
