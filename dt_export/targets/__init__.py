"""File formats, one file each: ``trace`` a graph, ``write`` it with its contract, ``read`` it.

``ort.py`` is no target of its own: it turns a finished ONNX file into ONNX Runtime's format.
"""

from pathlib import Path

from dt_runtime.contract import Contract

from dt_export.errors import UsageError
from dt_export.targets import torchscript
from dt_export.targets.artifact import Artifact, Opened
from dt_export.targets.onnx import file as onnx
from dt_export.targets.onnx import ort
from dt_export.targets.opening import opening

TARGETS = {"onnx": onnx, "torchscript": torchscript}
READERS = {onnx.SUFFIX: onnx.read, ort.SUFFIX: onnx.read, torchscript.SUFFIX: torchscript.read}

__all__ = ["TARGETS", "Artifact", "Opened", "open_artifact", "read_contract"]


def open_artifact(path: Path, provider: str = "cpu") -> Opened:
    """Open any artifact of ours by its suffix, to run it.

    A TorchScript file is a program, and runs as soon as it is opened: ``read_contract`` does not.

    Raises:
        UsageError: no such file, an unknown suffix, no contract inside, or no such provider.
    """
    _check(path)
    with opening(path, provider):
        return READERS[path.suffix](path, provider)


def read_contract(path: Path) -> Contract:
    """The contract of any artifact of ours. Nothing in the file is run.

    Raises:
        UsageError: as ``open_artifact``.
    """
    _check(path)
    with opening(path, "cpu"):
        if path.suffix == torchscript.SUFFIX:
            return torchscript.read_contract(path)
        return onnx.read_contract(path)


def _check(path: Path) -> None:
    if not path.is_file():
        raise UsageError(f"{path}: no such file; make one with `dt-export onnx --model MODEL`")
    if path.suffix not in READERS:
        raise UsageError(f"{path}: expected a file ending in {', '.join(READERS)}")
