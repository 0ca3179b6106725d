"""What validation runs on a graph, and the numbers that it draws for it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from dt_runtime import Library
from dt_runtime.contract import Contract
from dt_runtime.engine import Engine

EXTREME = 1e4  # standard deviations

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """One set of inputs; ``padding`` is the longest left padding among its rows.

    Of a rollout it is all actions of one kind: ``slots`` counts the caches of a row, ``resets``
    says whether rows begin new episodes during the rollout, and ``full`` whether an episode has
    had more than K timesteps, so that caches are written again and slots begin again.
    """

    group: str
    batch: int
    length: int  # timesteps, padding included; of a backbone tokens, cached ones included
    padding: int = 0
    kind: str = "random"  # random | late | extreme
    cached: int = 0  # tokens of a backbone
    slots: int = 0  # of a rollout
    resets: bool = False
    full: bool = False

    def __str__(self) -> str:
        return f"{self.group}: B={self.batch} T={self.length} padding={self.padding}"


class Runnable(Protocol):
    """An artifact that is ready to run."""

    @property
    def contract(self) -> Contract: ...

    @property
    def engine(self) -> Engine | Library: ...

    def run(self, inputs: Arrays, /) -> Arrays: ...


Play = Callable[[Runnable, np.random.Generator], Iterable[tuple[Case, Arrays, Arrays]]]


@dataclass(frozen=True)
class Trial:
    """One run, or one whole rollout.

    ``play`` draws inputs, runs the artifact, and gives (case, what eager PyTorch should be given,
    what came out) for everything that is to be compared. Where it fails, ``case`` and ``outputs``
    say what could not be compared.
    """

    case: Case
    outputs: tuple[str, ...]
    play: Play


def draw_states(
    contract: Contract,
    window: tuple[int, int],
    spread: float,
    raw: bool,
    rng: np.random.Generator,
) -> np.ndarray:
    """Observations [B, T, ...]: frames, or numbers around the mean, normalised or ``raw``."""
    state = contract.state
    if contract.inputs[0].dtype == "uint8":
        frames = rng.integers(0, 256, (*window, *state.shape))
        return frames if spread == 1.0 else np.where(frames < 128, 0, 255)
    states = spread * rng.standard_normal((*window, *state.shape))
    if raw and state.mean is not None and state.std is not None:
        states = np.reshape(state.mean, state.shape) + states * np.reshape(state.std, state.shape)
    return states
