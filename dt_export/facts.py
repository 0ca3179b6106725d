"""What one must know beside the weights: statistics, context length, scale, targets, environment.

Four places may tell, the first that does wins: flags, files beside the weights, the preset,
a default. A default that was needed is reported, never silent.
"""

import shlex
from dataclasses import dataclass, fields, replace
from pathlib import Path

SIDECAR = "policy.json"
DEFAULT_CONTEXT_LENGTH = 20
DEFAULT_RETURN_SCALE = 1000.0
LARGEST = 3.4028234663852886e38  # of float32, and so of any number that a network shall see
SMALLEST = 1.1754943508222875e-38  # of float32's normal numbers: what one may divide by


@dataclass(frozen=True)
class Facts:
    """Known facts, None for what is not known. Statistics and bounds have one number a component.

    ``target_returns`` are raw; raw returns are divided by ``return_scale``; ``context_length``
    counts timesteps.
    """

    context_length: int | None = None
    return_scale: float | None = None
    state_mean: tuple[float, ...] | None = None
    state_std: tuple[float, ...] | None = None
    target_returns: tuple[float, ...] | None = None
    environment: str | None = None
    action_low: tuple[float, ...] | None = None
    action_high: tuple[float, ...] | None = None
    action_scale: tuple[float, ...] | None = None  # raw action = network's * scale + offset
    action_offset: tuple[float, ...] | None = None
    first_timestep: int | None = None  # the number of an episode's first timestep

    def over(self, other: "Facts") -> "Facts":
        """These facts, and those of ``other`` where these are silent."""
        mine = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(other, **{name: value for name, value in mine.items() if value is not None})


@dataclass(frozen=True)
class Overrides:
    """What flags say. None means that the flag was not given."""

    context_length: int | None = None
    n_head: int | None = None
    activation: str | None = None
    action_tanh: bool | None = None
    discrete: bool | None = None
    returns: bool | None = None
    stats: Path | None = None
    return_scale: float | None = None
    target_return: float | None = None
    environment: str | None = None
    revision: str | None = None


def as_flags(overrides: Overrides) -> str:
    """The flags that ``validate`` needs to see the checkpoint as these overrides do."""
    words = []
    for name in ("context_length", "n_head", "activation", "stats", "return_scale", "revision"):
        value = getattr(overrides, name)
        if value is not None:
            words += [f"--{name.replace('_', '-')}", shlex.quote(str(value))]
    for name in ("action_tanh", "discrete", "returns"):
        value = getattr(overrides, name)
        if value is not None:
            words.append(f"--{'' if value else 'no-'}{name.replace('_', '-')}")
    return " ".join(words)
