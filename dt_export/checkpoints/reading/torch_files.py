"""What ``torch.save`` writes, without ``torch.load``: a pickle beside the bytes of its storages.

Two layouts (torch/serialization.py): a zip archive with ``data.pkl`` and one record a storage, and
before PyTorch 1.6 a row of pickles with the storages behind them. Sizes that the pickle tells are
compared with the bytes that are there before memory is taken.
"""

import io
import math
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dt_export.checkpoints.reading import plain_data
from dt_export.checkpoints.reading.bounded import Bounded
from dt_export.checkpoints.reading.damage import damaged
from dt_export.checkpoints.reading.pickles import Name, NamesCodeError, Vocabulary, read_pickle
from dt_export.errors import CheckpointError

ZIP = b"PK\x03\x04"
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
NOTHING = Vocabulary({}, frozenset())
BIG_ENDIAN = "its numbers are in big-endian order; save it again on a usual machine"
STORAGES = {
    f"torch.{name}Storage": getattr(torch, dtype)
    for name, dtype in {
        "Float": "float32",
        "Double": "float64",
        "Half": "float16",
        "BFloat16": "bfloat16",
        "Long": "int64",
        "Int": "int32",
        "Short": "int16",
        "Char": "int8",
        "Byte": "uint8",
        "Bool": "bool",
        "ComplexFloat": "complex64",
        "ComplexDouble": "complex128",
    }.items()
}
Load = Callable[[torch.dtype, str, int], "Storage"]
DTYPES = frozenset(str(dtype) for dtype in STORAGES.values())  # saved as values, torch.float32


@dataclass(frozen=True)
class Storage:
    """A row of numbers that tensors are views of."""

    numbers: Tensor  # [numel]; on the meta device where only its size is known yet

    def view(self, offset: Any, size: Any, stride: Any) -> Tensor:
        """torch._utils._rebuild_tensor: a view that lies within the storage."""
        if not isinstance(size, tuple) or not isinstance(stride, tuple) or len(size) != len(stride):
            raise ValueError("it holds a tensor without a size")
        if len(size) > plain_data.MOST_AXES:
            raise ValueError(f"it holds a tensor of {len(size)} axes")
        if not all(plain_data.is_count(number) for number in (offset, *size, *stride)):
            raise ValueError("it holds a tensor with a size that is not made of natural numbers")
        stored, numel = self.numbers.numel(), math.prod(size)
        last = offset + sum((axis - 1) * step for axis, step in zip(size, stride, strict=True))
        if numel > stored or (numel and last >= stored):
            raise ValueError(
                f"it holds a tensor of size {list(size)} on {stored} stored numbers; where it was "
                "expanded, save tensor.contiguous()"
            )
        return self.numbers.as_strided(size, stride, offset)


def read_torch(path: Path) -> Any:
    """Whatever ``torch.save`` wrote, as long as it is tensors, containers, numbers and text.

    Mappings of all kinds come back as dicts, NumPy's scalars as numbers. d3rlpy's ``.d3`` is a
    plain dict whose ``torch`` are the bytes of such a file: its entries are put beside the others.

    Raises:
        CheckpointError: truncated, of another format, or a pickle that would run code.
    """
    with _told(path, "is truncated or not a PyTorch file"), path.open("rb") as file:
        stream = Bounded(file)
        if _is_zip(stream):
            return _read_zip(path, stream)
        first = read_pickle(stream, NOTHING)
        if not isinstance(first, dict) or not isinstance(first.get("torch"), bytes):
            return _read_legacy(first, stream)
        inside = Bounded(io.BytesIO(first.pop("torch")))
        if _is_zip(inside):
            inner = _read_zip(path, inside)
        else:
            inner = _read_legacy(read_pickle(inside, NOTHING), inside)
        return first | inner if isinstance(inner, dict) else first


def _is_zip(stream: Bounded) -> bool:
    start = stream.read(len(ZIP))
    stream.seek(0)
    return start == ZIP


@contextmanager
def _told(path: Path, problem: str) -> Iterator[None]:
    """Damage and code in a pickle, each with its own message."""
    with damaged(path, problem):
        try:
            yield
        except NamesCodeError as error:
            raise CheckpointError(
                f"{path} is rejected: it names {error}, which is not a tensor, a container or a "
                "number, and loading it would run code. "
                "If you trust the file, load it with its own code and save only the weights: "
                "torch.save(model.state_dict(), 'weights.pt'), "
                "or safetensors.torch.save_file(model.state_dict(), 'model.safetensors')"
            ) from error


def _read_zip(path: Path, stream: Bounded) -> Any:
    with zipfile.ZipFile(stream) as archive:
        if any(name.endswith("/constants.pkl") for name in archive.namelist()):
            raise CheckpointError(
                f"{path} is a TorchScript program, not a checkpoint: pass the checkpoint that it "
                "was made from (`dt-export inspect` shows the contract of an artifact)"
            )
        records = _records(path, archive, stream.size)
        pickles = [name for name in records if name.endswith("data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            raise ValueError(f"the archive has {len(pickles)} records of name data.pkl, expected 1")
        folder = pickles[0].removesuffix("data.pkl")
        order = records.get(folder + "byteorder")
        if order is not None and archive.read(order).strip() != b"little":
            raise ValueError(BIG_ENDIAN)
        known: dict[str, Storage] = {}

        def load(dtype: torch.dtype, key: str, numel: int) -> Storage:
            record = records.get(f"{folder}data/{key}")
            if record is None:
                raise ValueError(f"the archive has no record data/{key}")
            if record.file_size != numel * dtype.itemsize:
                raise ValueError(
                    f"data/{key} has {record.file_size} bytes, its tensor another size"
                )
            if key not in known:
                known[key] = Storage(_numbers(dtype, archive.read(record)))
            if known[key].numbers.dtype != dtype:
                raise ValueError(f"data/{key} is asked for as numbers of two types")
            return known[key]

        content = io.BytesIO(archive.read(pickles[0]))
        return read_pickle(Bounded(content), _vocabulary(load))


def _records(path: Path, archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The records by name; each of them once, and together not larger than the file.

    PyTorch stores them as they are. A compressed one can be of any size, and so can several that
    lie over one another.
    """
    records = {record.filename: record for record in archive.infolist()}
    if len(records) != len(archive.infolist()):
        raise ValueError("the archive has two records of one name")
    if any(record.compress_type != zipfile.ZIP_STORED for record in records.values()):
        raise CheckpointError(
            f"{path} is a compressed archive, which torch.save does not write: save the weights "
            "again, or unpack it and zip it without compression (`zip -0`)"
        )
    if sum(record.file_size for record in records.values()) > size:
        raise ValueError("the archive's records are larger than the file")
    if any(record.compress_size != record.file_size for record in records.values()):
        raise ValueError("the archive has a record of two sizes")
    return records


def _read_legacy(magic: Any, stream: Bounded) -> Any:
    """Magic number, protocol, the machine, the object, keys of storages, then each one's bytes.

    The object is read twice: what its storages are made of stands in it, and they come after it.
    """
    if type(magic) is not int or magic != LEGACY_MAGIC:
        raise ValueError("it does not begin as a PyTorch file does, nor as d3rlpy's")
    if read_pickle(stream, NOTHING) != LEGACY_PROTOCOL:
        raise ValueError("it is of another protocol than 1001")
    machine = read_pickle(stream, NOTHING)
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise ValueError(BIG_ENDIAN)
    wanted: dict[str, Storage] = {}

    def remember(dtype: torch.dtype, key: str, numel: int) -> Storage:
        storage = wanted.setdefault(key, Storage(torch.empty(numel, dtype=dtype, device="meta")))
        if (storage.numbers.dtype, storage.numbers.numel()) != (dtype, numel):
            raise ValueError(f"storage {key} is asked for as numbers of two types")
        return storage

    begin = stream.tell()
    read_pickle(stream, _vocabulary(remember))
    keys = read_pickle(stream, NOTHING)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ValueError("it has no list of storages")
    if not set(keys) <= set(wanted) or len(set(keys)) != len(keys):
        raise ValueError("its list of storages is not that of its tensors")
    loaded = {}
    for key in keys:
        expected = wanted[key].numbers
        (numel,) = struct.unpack("<q", stream.read(8))
        if numel != expected.numel():
            raise ValueError(f"storage {key} has {numel} numbers, its tensor another size")
        loaded[key] = Storage(_numbers(expected.dtype, stream.read(numel * expected.itemsize)))
        if loaded[key].numbers.numel() != numel:
            raise ValueError(f"storage {key} ends early")
    stream.seek(begin)
    return read_pickle(stream, _vocabulary(lambda dtype, key, numel: loaded[key]))


def _vocabulary(load: Load) -> Vocabulary:
    """Plain data, tensors, and storages as ``load(dtype, key, numel)`` gives them."""

    def storage(identity: Any) -> Storage:
        if not isinstance(identity, tuple) or not 5 <= len(identity) <= 6:
            raise ValueError("it asks for a storage by an id of another kind")
        kind, named, key, _, numel, *view = identity
        dtype = STORAGES.get(named.name) if isinstance(named, Name) else None
        if kind != "storage" or dtype is None or not isinstance(key, str) or any(view):
            raise ValueError("it asks for a storage of another kind")
        if not plain_data.is_count(numel):
            raise ValueError(f"it asks for a storage of {numel!r:.40} numbers")
        return load(dtype, key, numel)

    calls = plain_data.CALLS | {
        "torch._utils._rebuild_tensor": _tensor,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_parameter": _parameter,
        "torch._utils._rebuild_parameter_with_state": _parameter,
    }
    return Vocabulary(calls, plain_data.NAMES | DTYPES | STORAGES.keys(), storage)


def _tensor(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    _gradient: Any = None,
    _hooks: Any = None,
    metadata: Any = None,
) -> Tensor:
    """torch._utils._rebuild_tensor(_v2); gradients and hooks are of no use here."""
    if not isinstance(storage, Storage):
        raise ValueError("it holds a tensor without a storage")
    if metadata not in (None, {}):  # bits that turn signs around
        raise ValueError("it holds a tensor that is conjugated or negated: save a resolved copy")
    return storage.view(offset, size, stride)


def _parameter(data: Any, _gradient: Any, _hooks: Any, _state: Any = None) -> Tensor:
    """torch._utils._rebuild_parameter(_with_state)."""
    if not isinstance(data, Tensor):
        raise ValueError("it holds a parameter that is no tensor")
    return data


def _numbers(dtype: torch.dtype, raw: bytes) -> Tensor:
    """Bytes as numbers, [numel]; a bool is what is not zero."""
    if not raw:
        return torch.empty(0, dtype=dtype)
    numbers = torch.frombuffer(bytearray(raw), dtype=torch.uint8 if dtype == torch.bool else dtype)
    return numbers != 0 if dtype == torch.bool else numbers
