"""Facts from flags and from the files that people keep beside their weights."""

from dataclasses import replace
from os.path import lexists
from pathlib import Path

from dt_runtime.contract import MAX_CONTEXT_LENGTH

from dt_export.checkpoints import reading
from dt_export.checkpoints.reading import Document, numbers
from dt_export.errors import CheckpointError, UsageError
from dt_export.facts import FLAGS, SIDECAR, Facts, Overrides
from dt_export.flags import check

LISTS = (
    "state_mean",
    "state_std",
    "target_returns",
    "action_low",
    "action_high",
    "action_scale",
    "action_offset",
)


def from_flags(flags: Overrides) -> Facts:
    """The facts among the flags; reads the statistics file.

    Raises:
        UsageError: a number that cannot be, or a statistics file that cannot be read.
    """
    check(flags)
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
    stats = FLAGS["stats"].name
    if not path.is_file():
        raise UsageError(f"{stats} {path}: no such file")
    keys = ("mean", "std") if path.suffix == ".npz" else ("state_mean", "state_std")
    if path.suffix == ".npz":
        document = reading.read_npz(path, keys)
    elif path.suffix == ".json":
        document = reading.read_json(path)
    else:
        raise UsageError(
            f"{stats} {path}: expected .npz with mean and std, "
            "or .json with state_mean and state_std"
        )
    mean, std = (Document(document, f"{stats} {path}").numbers(key) for key in keys)
    return Facts(state_mean=mean, state_std=std)


def beside(directory: Path) -> Facts:
    """The facts in files beside the weights: policy.json, state_mean.npy and state_std.npy."""
    sidecar = directory / SIDECAR
    found = _from_sidecar(sidecar) if lexists(sidecar) else Facts()
    arrays = {key: directory / f"{key}.npy" for key in ("state_mean", "state_std")}
    present = [key for key, path in arrays.items() if lexists(path)]
    if len(present) == 1:
        (missing,) = set(arrays) - set(present)
        raise CheckpointError(
            f"{arrays[present[0]]} is there and {missing}.npy is not: both are needed"
        )
    if present:
        mean, std = (
            numbers(reading.read_npy(path), path.name, key) for key, path in arrays.items()
        )
        found = Facts(state_mean=mean, state_std=std).over(found)
    return found


def says_discrete(directory: Path, flag: bool | None) -> bool:
    """Whether actions are choices: what the flag says, else policy.json's ``discrete``."""
    sidecar = directory / SIDECAR
    if flag is not None or not lexists(sidecar):
        return bool(flag)
    return Document(reading.read_json(sidecar), str(sidecar)).flag("discrete", False)


def _from_sidecar(path: Path) -> Facts:
    document = Document(reading.read_json(path), str(path))
    return Facts(
        context_length=document.integer("context_length", None, high=MAX_CONTEXT_LENGTH),
        return_scale=document.number("return_scale", None, above=0),
        environment=document.text("environment", None),
        first_timestep=document.integer("first_timestep", None, low=0),
        **{key: document.numbers(key, None) or None for key in LISTS},
    )
