"""What stands at a path: the file with the weights, read once and safely, and what is beside it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from dt_export.checkpoints import reading
from dt_export.errors import CheckpointError

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".d3")
# Where training programs keep the state dict inside a larger dict.
NESTED = ("model_state_dict", "model_state", "state_dict", "model", "transformer")
PARALLEL = "module."  # what DataParallel puts before every name


@dataclass(frozen=True)
class Contents:
    """A checkpoint's files before any dialect has claimed them."""

    directory: Path
    file: Path  # the file with the weights
    document: Any  # all that the file holds
    tensors: dict[str, Tensor]  # float32, under their plain names
    notes: tuple[str, ...] = ()


def read(path: Path) -> Contents | None:
    """Read a file, or the one file with weights of a directory; None where it has no such file.

    Raises:
        CheckpointError: a file that cannot be read, or several in one directory.
    """
    if path.is_dir():
        with reading.damaged(path, "cannot be listed"):
            files = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and p.is_file())
        if len(files) > 1:
            names = ", ".join(file.name for file in files[:8]) + (", ..." if files[8:] else "")
            raise CheckpointError(f"{path} holds several checkpoints: name one of {names}")
        if not files:
            return None
        file = files[0]
    else:
        file = path
    document = reading.read_file(file)
    tensors, notes = reading.float32(_state_dict(document), file)
    return Contents(file.parent, file, document, tensors, tuple(notes))


def _state_dict(document: Any) -> dict[str, Tensor]:
    """The state dict in a document, wherever it is nested, or nothing."""
    if not isinstance(document, dict):
        return {}
    for _ in range(len(NESTED)):  # deeper than any training program, and the end of a circle
        for key in NESTED:
            inner = document.get(key)
            if isinstance(inner, dict) and any(isinstance(v, Tensor) for v in inner.values()):
                document = inner
                break
    tensors = {k: v for k, v in document.items() if isinstance(k, str) and isinstance(v, Tensor)}
    if tensors and all(name.startswith(PARALLEL) for name in tensors):
        tensors = {name.removeprefix(PARALLEL): value for name, value in tensors.items()}
    return tensors
