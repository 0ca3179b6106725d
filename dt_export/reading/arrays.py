"""Statistics as NumPy writes them: .npy and .npz, plain numbers alone.

The header says how large an array is, and anything can stand there, so it is held against the
bytes that are there before memory is taken.
"""

import math
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import IO

import numpy as np

from dt_export.errors import CheckpointError
from dt_export.reading.damage import check_file, damaged

LARGEST = 64 * 2**20  # bytes of one array; statistics of four 84 x 84 frames take 226 kB
MEMBER = ".npy"


def read_npy(path: Path) -> np.ndarray:
    """An array of plain numbers.

    Raises:
        CheckpointError: not to be read, truncated, or of something else than numbers.
    """
    check_file(path, LARGEST)
    with damaged(path, "cannot be read as a NumPy array"), path.open("rb") as file:
        return _array(file)


def read_npz(path: Path, keys: Collection[str]) -> dict[str, np.ndarray]:
    """The arrays of these names; others are left alone.

    Raises:
        CheckpointError: not to be read, encrypted, truncated, without one of the keys, or with
            something else than numbers under it.
    """
    check_file(path)
    with damaged(path, "cannot be read as .npz"), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(MEMBER) for name in archive.namelist()]
        for key in keys:
            if key not in names:
                raise CheckpointError(f"{path} has no key {key!r}; seen: {', '.join(names[:8])}")
        found = {}
        for key in keys:
            with archive.open(key + MEMBER) as member:
                found[key] = _array(member)
        return found


def _array(stream: IO[bytes]) -> np.ndarray:
    """An array of a stream, whose bytes may be compressed and of any number."""
    form = np.lib.format
    version = form.read_magic(stream)
    headers = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}
    if version not in headers:
        raise ValueError(f"it is of version {version}, expected 1.0 or 2.0")
    shape, fortran, dtype = headers[version](stream)
    if dtype.kind not in "biuf":
        raise ValueError(f"it holds {dtype}, expected numbers")
    size = math.prod(shape) * dtype.itemsize
    if not 0 <= size <= LARGEST:
        raise ValueError(f"its header says {size} bytes, expected at most {LARGEST}")
    content = stream.read(size + 1)
    if len(content) != size:
        raise ValueError(f"its header says {size} bytes, and it has another number of them")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
