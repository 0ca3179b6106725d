"""File formats, one file each: ``trace`` a graph, ``write`` it with its contract, ``read`` it.

``ort.py`` is no target of its own: it turns a finished ONNX file into ONNX Runtime's format.
"""

from pathlib import Path

from dt_runtime.contract import ContractError

from dt_export.errors import UsageError
from dt_export.targets import onnx, ort, torchscript
from dt_export.targets.artifact import Artifact, Opened

TARGETS = {"onnx": onnx, "torchscript": torchscript}
READERS = {onnx.SUFFIX: onnx.read, ort.SUFFIX: onnx.read, torchscript.SUFFIX: torchscript.read}

__all__ = ["TARGETS", "Artifact", "Opened", "open_artifact"]


def open_artifact(path: Path, provider: str = "cpu") -> Opened:
    """Open any artifact of ours by its suffix.

    Raises:
        UsageError: no such file, an unknown suffix, no contract inside, or no such provider.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file; make one with `dt-export onnx --model MODEL`")
    if path.suffix not in READERS:
        raise UsageError(f"{path}: expected a file ending in {', '.join(READERS)}")
    try:
        return READERS[path.suffix](path, provider)
    except (ContractError, ValueError, RuntimeError, ImportError) as error:
        raise UsageError(str(error)) from None
