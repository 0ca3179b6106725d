"""File formats, one file each: ``trace`` a graph, ``write`` it with its contract, ``read`` it."""

from pathlib import Path

from dt_runtime.contract import ContractError

from dt_export.errors import UsageError
from dt_export.targets import onnx, torchscript
from dt_export.targets.artifact import Artifact, Opened

TARGETS = {"onnx": onnx, "torchscript": torchscript}

__all__ = ["TARGETS", "Artifact", "Opened", "open_artifact"]


def open_artifact(path: Path, provider: str = "cpu") -> Opened:
    """Open any artifact of ours by its suffix.

    Raises:
        UsageError: no such file, an unknown suffix, no contract inside, or no such provider.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file; make one with `dt-export onnx --model MODEL`")
    for target in TARGETS.values():
        if path.suffix == target.SUFFIX:
            try:
                return target.read(path, provider)
            except (ContractError, ValueError, RuntimeError, ImportError) as error:
                raise UsageError(str(error)) from None
    suffixes = " or ".join(target.SUFFIX for target in TARGETS.values())
    raise UsageError(f"{path}: expected a file ending in {suffixes}")
