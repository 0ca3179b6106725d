"""File formats, one Target each, and how files of any of them are opened."""

from collections import Counter
from pathlib import Path

from dt_runtime.contract import Contract

from dt_export.errors import UsageError
from dt_export.targets import c, onnx, torchscript
from dt_export.targets.artifact import Artifact, Opened
from dt_export.targets.opening import opening
from dt_export.targets.target import Target

TARGETS = {target.name: target for target in (onnx.TARGET, torchscript.TARGET, c.TARGET)}
BY_SUFFIX = {suffix: target for target in TARGETS.values() for suffix in target.suffixes}

__all__ = [
    "BY_SUFFIX", "TARGETS", "Artifact", "Opened", "Target", "inspect", "open_artifact",
    "read_contract", "target_of",
]  # fmt: skip


def open_artifact(path: Path, provider: str = "cpu") -> Opened:
    """Open an artifact of any target to run it.

    A TorchScript file is a program and runs as soon as it is opened; ``read_contract`` runs none.

    Raises:
        UsageError: no such file, an unknown suffix, no contract inside, or no such provider.
    """
    target = target_of(path)
    with opening(path, provider):
        return target.read(path, provider)


def read_contract(path: Path) -> Contract:
    """The contract of an artifact of any target. Nothing in the file is run.

    Raises:
        UsageError: as ``open_artifact``.
    """
    target = target_of(path)
    with opening(path, "cpu"):
        return target.read_contract(path)


def inspect(path: Path) -> tuple[Contract, Counter[str], str]:
    """The contract, the number of each operator, and a note on how they were counted.

    Nothing in the file is run. A TorchScript file, which is a program, is not even loaded.

    Raises:
        UsageError: as ``open_artifact``.
    """
    contract = read_contract(path)
    with opening(path, "cpu"):
        return contract, *target_of(path).operators(path)


def target_of(path: Path) -> Target:
    """The target that reads a file, by its suffix.

    Raises:
        UsageError: no such file, or an unknown suffix.
    """
    if path.is_dir():
        raise UsageError(f"{path}: expected an artifact, and this is a folder")
    if not path.is_file():
        raise UsageError(f"{path}: no such file; make one with `dt-export onnx --model MODEL`")
    if path.suffix not in BY_SUFFIX:
        raise UsageError(f"{path}: expected a file ending in {', '.join(BY_SUFFIX)}")
    return BY_SUFFIX[path.suffix]
