"""Reading the files of a checkpoint without ever executing them."""

import _codecs
import hashlib
import io
import json
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dt_export.errors import CheckpointError

# What a pickle of a NumPy array calls, under the names of NumPy 1 and 2: constructors of plain
# data, none of which runs code of the file's choosing.
NUMPY = [
    np.ndarray,
    np.dtype,
    *((getattr(np.dtypes, name)) for name in np.dtypes.__all__),
    *(
        (function, f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")
        for name, function in (
            ("_reconstruct", np._core.multiarray._reconstruct),
            ("scalar", np._core.multiarray.scalar),
        )
    ),
    _codecs.encode,
]
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(document, dict):
        raise CheckpointError(f"{path} holds {type(document).__name__}, expected a JSON object")
    return document


def read_npy(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise CheckpointError(f"{path} cannot be read as a NumPy array: {error}") from None


def read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path} cannot be read as .npz: {error}") from None


def read_yaml(path: Path) -> dict[str, Any]:
    """Plain YAML: tags that would make Python objects are refused by the safe loader."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CheckpointError(f"{path} cannot be read as plain YAML: {error}") from None
    if not isinstance(document, dict):
        raise CheckpointError(f"{path} holds {type(document).__name__}, expected a YAML mapping")
    return document


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read named tensors and nothing else.

    Raises:
        CheckpointError: truncated, of another format, or a pickle that would run code.
    """
    document = read_file(path)
    if not isinstance(document, dict) or not all(isinstance(v, Tensor) for v in document.values()):
        raise CheckpointError(f"{path} holds no state dict (a dict of names to tensors)")
    return document


def read_file(path: Path) -> Any:
    """Read safetensors, or a PyTorch file with ``weights_only=True``.

    Raises:
        CheckpointError: truncated, of another format, or a pickle that would run code.
    """
    if path.suffix == ".safetensors":
        try:
            return load_file(path, device="cpu")
        except (SafetensorError, OSError) as error:
            size = path.stat().st_size
            raise CheckpointError(
                f"{path} ({size} bytes) is truncated or not safetensors: {error}; "
                "download or save it again"
            ) from None
    with path.open("rb") as file:
        plain_pickle = file.read(2) == b"\x80\x04"  # torch writes zip files or protocol 2
    return read_plain_pickle(path) if plain_pickle else read_torch(path)


class _NamesCodeError(Exception):
    """A pickle asks for something by name, which reading it would call."""


class _Plain(pickle.Unpickler):
    """Reads containers, numbers, strings and bytes, and refuses a pickle that names more."""

    def find_class(self, module: str, name: str) -> Any:
        raise _NamesCodeError(f"{module}.{name}")


def read_plain_pickle(path: Path) -> Any:
    """d3rlpy's ``.d3``: a plain dict whose ``torch`` are the bytes of a PyTorch file."""
    try:
        with path.open("rb") as file:
            document = _Plain(file).load()
    except _NamesCodeError as error:
        raise _would_run_code(path, str(error)) from None
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError) as error:
        raise CheckpointError(f"{path} is truncated or no plain pickle: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("torch"), bytes):
        raise CheckpointError(f"{path} is a pickle, but not one that d3rlpy writes")
    inner = read_torch(path, document.pop("torch"))
    return document | inner if isinstance(inner, dict) else document


def read_torch(path: Path, content: bytes | None = None) -> Any:
    """Whatever ``torch.save`` wrote, as long as it is tensors, containers, numbers and strings.

    ``content`` is read instead of the file where it stands inside of another. NumPy's arrays and
    numbers are allowed too: statistics and random states come as such.
    """
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(NUMPY):
            warnings.simplefilter("ignore")  # about pickle protocols; what matters is raised
            source = path if content is None else io.BytesIO(content)
            return torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Weights only load failed" not in str(error):
            raise CheckpointError(f"{path} is truncated or no PyTorch file: {error}") from None
        raise _would_run_code(path, _culprit(error)) from None
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, AssertionError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} is truncated or no PyTorch file: {first}") from None


def _would_run_code(path: Path, culprit: str) -> CheckpointError:
    return CheckpointError(
        f"{path} is refused: reading it would run code it carries ({culprit}). "
        "Where you trust it, load it there and save the weights alone: "
        "torch.save(model.state_dict(), 'weights.pt'), "
        "or safetensors.torch.save_file(model.state_dict(), 'model.safetensors')"
    )


def _culprit(error: Exception) -> str:
    """The line of PyTorch's long message that names what the pickle wanted to call."""
    for line in str(error).splitlines():
        if "GLOBAL" in line or "Unsupported" in line:
            return line.strip()[:160]
    return "it is more than tensors"


def float32(state_dict: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors in float32, and a note for the user where that changed any."""
    others = sorted({str(t.dtype) for t in state_dict.values()} - {"torch.float32", "torch.int64"})
    weights = {
        name: tensor.to(torch.float32) if tensor.dtype in FLOATS else tensor
        for name, tensor in state_dict.items()
    }
    half = [name.removeprefix("torch.") for name in others if "float" in name]
    return weights, [f"weights are {', '.join(half)}: converted to float32"] if half else []


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
