"""Facts from flags and from the files that people keep beside their weights."""

import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from dt_export import reading
from dt_export.errors import CheckpointError, UsageError
from dt_export.facts import SIDECAR, Facts, Overrides


def from_flags(flags: Overrides) -> Facts:
    """The facts among the flags; reads the statistics file.

    Raises:
        UsageError: a number that cannot be, or a statistics file that cannot be read.
    """
    if flags.context_length is not None and flags.context_length < 1:
        raise UsageError(f"--context-length is {flags.context_length}, expected at least 1")
    if flags.return_scale is not None and not 0 < flags.return_scale < math.inf:
        raise UsageError(f"--return-scale is {flags.return_scale}, expected more than 0")
    if flags.target_return is not None and not math.isfinite(flags.target_return):
        raise UsageError(f"--target-return is {flags.target_return}, expected a finite number")
    found = read_statistics(flags.stats) if flags.stats is not None else Facts()
    return replace(
        found,
        context_length=flags.context_length,
        return_scale=flags.return_scale,
        target_returns=None if flags.target_return is None else (float(flags.target_return),),
        environment=flags.environment,
    )


def read_statistics(path: Path) -> Facts:
    """Read ``--stats``: .npz with mean and std, or JSON with state_mean and state_std."""
    if not path.is_file():
        raise UsageError(f"--stats {path}: no such file")
    keys = ("mean", "std") if path.suffix == ".npz" else ("state_mean", "state_std")
    if path.suffix == ".npz":
        document = reading.read_npz(path, keys)
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
    mean, std = (numbers(document[key], path.name, key) for key in keys)
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
            numbers(reading.read_npy(path), path.name, key) for key, path in arrays.items()
        )
        found = Facts(state_mean=mean, state_std=std).over(found)
    return found


def says_discrete(directory: Path, flag: bool | None) -> bool:
    """Whether actions are choices: what the flag says, else policy.json's ``discrete``."""
    sidecar = directory / SIDECAR
    if flag is not None or not sidecar.is_file():
        return bool(flag)
    return reading.read_json(sidecar).get("discrete") is True


def _from_sidecar(document: dict[str, Any]) -> Facts:
    known = {f.name: document[f.name] for f in fields(Facts) if document.get(f.name) is not None}
    for key in ("state_mean", "state_std", "target_returns", "action_low", "action_high"):
        if key in known:
            known[key] = numbers(known[key], SIDECAR, key)
    for key, kind in (("context_length", int), ("return_scale", (int, float))):
        value = known.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, kind) or not 0 < value < math.inf:
            raise CheckpointError(f"{SIDECAR}: {key} is {known[key]!r}, expected a number above 0")
    if "return_scale" in known:
        known["return_scale"] = float(known["return_scale"])
    return Facts(**known)


def numbers(values: Any, file: str, key: str) -> tuple[float, ...]:
    try:
        array = np.asarray(values, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        raise CheckpointError(f"{file}: {key} is {values!r:.80}, expected numbers") from None
    if not np.isfinite(array).all():
        raise CheckpointError(f"{file}: {key} holds a NaN or an infinity")
    return tuple(array.tolist())
