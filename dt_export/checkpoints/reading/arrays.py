"""Statistics as NumPy writes them: .npy and .npz, plain numbers alone.

The header says how large an array is, and anything can stand there, so it is compared with the
bytes that are there before memory is taken.
"""

import io
import math
import zipfile
from collections.abc import Collection
from pathlib import Path

import numpy as np

from dt_export.checkpoints.reading.bounded import Bounded
from dt_export.checkpoints.reading.damage import check_file, damaged
from dt_export.errors import CheckpointError

LARGEST = 8 * 2**20  # bytes of one array; statistics of four 84 x 84 frames take 226 kB
MEMBER = ".npy"


def read_npy(path: Path) -> np.ndarray:
    """An array of plain numbers.

    Raises:
        CheckpointError: not to be read, truncated, or of something else than numbers.
    """
    check_file(path, LARGEST)
    with damaged(path, "cannot be read as a NumPy array"):
        return _array(path.read_bytes())


def read_npz(path: Path, keys: Collection[str]) -> dict[str, np.ndarray]:
    """The arrays of these names; others are left alone.

    Raises:
        CheckpointError: not to be read, encrypted, truncated, without one of the keys, or with
            something else than numbers under it.
    """
    check_file(path)
    with (
        damaged(path, "cannot be read as .npz"),
        path.open("rb") as file,
        zipfile.ZipFile(Bounded(file)) as archive,
    ):
        names = [name.removesuffix(MEMBER) for name in archive.namelist()]
        for key in keys:
            if key not in names:
                raise CheckpointError(
                    f"{path} has no key {key!r}; seen: {', '.join(n[:40] for n in names[:8])}"
                )
        found = {}
        for key in keys:
            with archive.open(key + MEMBER) as member:
                found[key] = _array(member.read(LARGEST + 1))
        return found


def _array(content: bytes) -> np.ndarray:
    """The array of an .npy file's bytes, which may be one too many."""
    stream = io.BytesIO(content)
    form = np.lib.format
    version = form.read_magic(stream)
    headers = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}
    if version not in headers:
        raise ValueError(f"it is of version {version}, expected 1.0 or 2.0")
    shape, fortran, dtype = headers[version](stream)
    if dtype.kind not in "biuf":
        raise ValueError(f"it holds {dtype}, expected numbers")
    size, numbers = math.prod(shape) * dtype.itemsize, stream.read()
    if len(numbers) != size:
        raise ValueError(f"its header says {size} bytes, and it has {len(numbers)}")
    return np.frombuffer(numbers, dtype).reshape(shape, order="F" if fortran else "C")
