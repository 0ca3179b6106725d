"""What one must know beside the weights: statistics, context length, scale, targets, environment.

Four places may tell, the first that does wins: flags, files beside the weights, the preset,
a default. A default that was needed is reported, never silent.
"""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from dt_export import reading
from dt_export.errors import CheckpointError, UsageError

SIDECAR = "policy.json"
DEFAULT_CONTEXT_LENGTH = 20
DEFAULT_RETURN_SCALE = 1000.0


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
    stats: Path | None = None
    return_scale: float | None = None
    target_return: float | None = None
    environment: str | None = None
    revision: str | None = None

    def facts(self) -> Facts:
        """The facts among the flags; reads the statistics file.

        Raises:
            UsageError: a number that cannot be, or a statistics file that cannot be read.
        """
        if self.context_length is not None and self.context_length < 1:
            raise UsageError(f"--context-length is {self.context_length}, expected at least 1")
        if self.return_scale is not None and not self.return_scale > 0:
            raise UsageError(f"--return-scale is {self.return_scale}, expected more than 0")
        found = read_statistics(self.stats) if self.stats is not None else Facts()
        return replace(
            found,
            context_length=self.context_length,
            return_scale=self.return_scale,
            target_returns=None if self.target_return is None else (float(self.target_return),),
            environment=self.environment,
        )


def read_statistics(path: Path) -> Facts:
    """Read ``--stats``: .npz with mean and std, or JSON with state_mean and state_std."""
    if not path.is_file():
        raise UsageError(f"--stats {path}: no such file")
    keys = ("mean", "std") if path.suffix == ".npz" else ("state_mean", "state_std")
    if path.suffix == ".npz":
        document = reading.read_npz(path)
    elif path.suffix == ".json":
        document = reading.read_json(path)
    else:
        raise UsageError(
            f"--stats {path}: expected .npz with mean and std, "
            "or .json with state_mean and state_std"
        )
    for key in keys:
        if key not in document:
            raise UsageError(f"--stats {path}: no key {key!r}; seen: {', '.join(document)}")
    mean, std = (_numbers(document[key], path.name, key) for key in keys)
    return Facts(state_mean=mean, state_std=std)


def beside(directory: Path) -> Facts:
    """The facts in files beside the weights: policy.json, state_mean.npy and state_std.npy."""
    sidecar = directory / SIDECAR
    found = _from_sidecar(reading.read_json(sidecar)) if sidecar.is_file() else Facts()
    arrays = {key: directory / f"{key}.npy" for key in ("state_mean", "state_std")}
    present = [key for key, path in arrays.items() if path.is_file()]
    if len(present) == 1:
        (missing,) = set(arrays) - set(present)
        raise CheckpointError(f"{arrays[present[0]]} is there and {missing}.npy is not: need both")
    if present:
        mean, std = (
            _numbers(reading.read_npy(path), path.name, key) for key, path in arrays.items()
        )
        found = Facts(state_mean=mean, state_std=std).over(found)
    return found


def _from_sidecar(document: dict[str, Any]) -> Facts:
    known = {f.name: document[f.name] for f in fields(Facts) if document.get(f.name) is not None}
    for key in ("state_mean", "state_std", "target_returns", "action_low", "action_high"):
        if key in known:
            known[key] = _numbers(known[key], SIDECAR, key)
    for key, kind in (("context_length", int), ("return_scale", (int, float))):
        if key in known and (not isinstance(known[key], kind) or not known[key] > 0):
            raise CheckpointError(f"{SIDECAR}: {key} is {known[key]!r}, expected a number above 0")
    if "return_scale" in known:
        known["return_scale"] = float(known["return_scale"])
    return Facts(**known)


def check_sizes(facts: Facts, state_dim: int, act_dim: int) -> None:
    """Statistics and bounds must have one number a component, and every std must be above 0."""
    expected = {
        "state_mean": state_dim,
        "state_std": state_dim,
        "action_low": act_dim,
        "action_high": act_dim,
    }
    for key, size in expected.items():
        values = getattr(facts, key)
        if values is not None and len(values) != size:
            raise CheckpointError(
                f"{key} has {len(values)} numbers, and the checkpoint's weights expect {size}"
            )
    for index, value in enumerate(facts.state_std or ()):
        if not value > 0:
            raise CheckpointError(
                f"state_std[{index}] is {value}, expected above 0: the state would be divided "
                "by it; add the small number that training added"
            )


def _numbers(values: Any, file: str, key: str) -> tuple[float, ...]:
    try:
        array = np.asarray(values, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        raise CheckpointError(f"{file}: {key} is {values!r:.80}, expected numbers") from None
    if not np.isfinite(array).all():
        raise CheckpointError(f"{file}: {key} holds a NaN or an infinity")
    return tuple(array.tolist())
