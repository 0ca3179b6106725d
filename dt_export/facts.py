"""What you must know besides the weights: statistics, context length, scale, targets, environment.

A fact may come from four places, and the first one that has it wins: flags, files next to the
weights, the preset, a default. A default is always reported, never silent.
"""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeVar

from dt_export.flags import flag, flags

SIDECAR = "policy.json"
DEFAULT_CONTEXT_LENGTH = 20
DEFAULT_RETURN_SCALE = 1000.0
LARGEST = 3.4028234663852886e38  # of float32, and so of any number that a network sees
SMALLEST = 1.1754943508222875e-38  # of float32's normal numbers: the least to divide by
LONGEST_CONTEXT = 4096  # dt_runtime's MAX_CONTEXT_LENGTH; importing it here would take NumPy
SomeFacts = TypeVar("SomeFacts", bound="Facts")
PANEL = "Facts that a checkpoint may not contain"


@dataclass(frozen=True)
class Facts:
    """Known facts, None for unknown ones. Statistics and bounds have one number per component.

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

    def over(self, other: SomeFacts) -> SomeFacts:
        """These facts, and those of ``other`` where these are silent."""
        mine = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(other, **{name: value for name, value in mine.items() if value is not None})


@dataclass(frozen=True)
class Settled(Facts):
    """The facts of a loaded checkpoint: what every artifact needs is known, if only by default."""

    context_length: int = DEFAULT_CONTEXT_LENGTH
    return_scale: float = DEFAULT_RETURN_SCALE
    first_timestep: int = 0


@dataclass(frozen=True)
class Overrides:
    """Facts that you pass, as flags or as keywords. None means not given.

    This is the only table of these facts: the flags of the command line are made from it, and
    messages take their spelling from here.
    """

    context_length: int | None = flag(
        "--context-length",
        help="K, in timesteps.",
        low=1,
        high=LONGEST_CONTEXT,
        expected=f"1 to {LONGEST_CONTEXT} timesteps",
        panel=PANEL,
    )
    n_head: int | None = flag("--n-head", help="Attention heads.", panel=PANEL)
    activation: str | None = flag(
        "--activation", help="relu, gelu, gelu_new, silu or tanh.", panel=PANEL
    )
    action_tanh: bool | None = flag(
        "--action-tanh/--no-action-tanh", help="Whether actions go through tanh.", panel=PANEL
    )
    discrete: bool | None = flag(
        "--discrete/--no-discrete", help="Whether actions are discrete.", panel=PANEL
    )
    returns: bool | None = flag(
        "--returns/--no-returns",
        help="Whether the model is conditioned on returns (atari: naive is not).",
        panel=PANEL,
    )
    stats: Path | None = flag(
        "--stats",
        help=".npz with mean and std, or .json with state_mean and state_std.",
        panel=PANEL,
    )
    return_scale: float | None = flag(
        "--return-scale",
        help="The number that raw returns are divided by.",
        low=SMALLEST,
        high=LARGEST,
        expected="more than 0, within float32",
        panel=PANEL,
    )
    target_return: float | None = flag(
        "--target-return",
        help="The raw return to ask for by default.",
        low=-LARGEST,
        high=LARGEST,
        expected="a finite number, within float32",
        panel=PANEL,
    )
    environment: str | None = flag(
        "--env", help="The Gymnasium environment that the policy was trained for.", panel=PANEL
    )
    revision: str | None = flag(
        "--revision", help="Branch, tag or commit of a Hugging Face repository.", panel=PANEL
    )


FLAGS = flags(Overrides)
CHOSEN = ("target_return", "environment")  # at export, whatever the weights


def as_flags(overrides: Overrides) -> str:
    """The flags that ``validate`` needs to see the checkpoint as these overrides do."""
    values = {name: getattr(overrides, name) for name in FLAGS if name != "environment"}
    return " ".join(FLAGS[name].given(value) for name, value in values.items() if value is not None)
