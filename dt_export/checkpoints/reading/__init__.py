"""Reading the files of a checkpoint: nothing in them is ever executed, and all of it is doubted."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from dt_export.checkpoints.reading.arrays import read_npy, read_npz
from dt_export.checkpoints.reading.damage import check_file, damaged, shown
from dt_export.checkpoints.reading.document import REQUIRED, Document, numbers
from dt_export.checkpoints.reading.json_yaml import read_json, read_yaml
from dt_export.checkpoints.reading.torch_files import read_torch
from dt_export.errors import CheckpointError

__all__ = [
    "REQUIRED",
    "Document",
    "damaged",
    "float32",
    "numbers",
    "read_file",
    "read_json",
    "read_npy",
    "read_npz",
    "read_state_dict",
    "read_yaml",
    "sha256",
    "shown",
]

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
ROOM = 64 * 2**20  # bytes of float32 that any file may become, and four times its own size


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read named tensors and nothing else.

    Raises:
        CheckpointError: truncated, of another format, or a pickle that would run code.
    """
    document = read_file(path)
    if not isinstance(document, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in document.items()
    ):
        raise CheckpointError(f"{path} holds no state dict (a dict of names to tensors)")
    return document


def read_file(path: Path) -> Any:
    """Read safetensors, a file of ``torch.save``, or d3rlpy's ``.d3``.

    Raises:
        CheckpointError: no file, truncated, of another format, or a pickle that would run code.
    """
    check_file(path)
    if path.suffix == ".safetensors":
        remedy = "; download or save it again"
        size = path.stat().st_size
        with damaged(path, f"({size} bytes) is truncated or not safetensors", remedy):
            return load_file(path, device="cpu")
    return read_torch(path)


def float32(state_dict: dict[str, Tensor], path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors in float32, and a note for the user where that changed any.

    Raises:
        CheckpointError: they would be far larger than the file at ``path``: many names can stand
            for the same numbers.
    """
    size = 4 * sum(tensor.numel() for tensor in state_dict.values())
    if size > 4 * path.stat().st_size + ROOM:
        raise CheckpointError(
            f"{path} has {path.stat().st_size} bytes, and its tensors would take {size}: too many "
            "names share the same numbers; save the weights without sharing"
        )
    weights = {
        name: tensor.to(torch.float32) if tensor.dtype in FLOATS else tensor
        for name, tensor in state_dict.items()
    }
    others = {str(t.dtype) for t in state_dict.values() if t.dtype in FLOATS} - {"torch.float32"}
    names = ", ".join(sorted(name.removeprefix("torch.") for name in others))
    return weights, [f"weights are {names}: converted to float32"] if names else []


def sha256(path: Path) -> str:
    """The digest of a file.

    Raises:
        CheckpointError: it cannot be read.
    """
    digest = hashlib.sha256()
    with damaged(path, "cannot be read"), path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
