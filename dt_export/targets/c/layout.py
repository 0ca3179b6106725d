"""How weights lie in memory: panels of columns, in the order in which a product reads them."""

import numpy as np

PANEL = 16  # columns of a panel
FLOATS = 16  # a row of numbers is padded to a multiple of this: one vector of AVX-512

Array = np.ndarray


def padded(size: int) -> int:
    """The next multiple of FLOATS."""
    return -(-size // FLOATS) * FLOATS


def widened(array: Array, *shape: int) -> Array:
    """The array with zeros after its numbers, up to this shape."""
    out = np.zeros(shape, array.dtype)
    out[tuple(slice(size) for size in array.shape)] = array
    return out


def panels(matrix: Array, together: int = 1) -> Array:
    """[n, depth] -> [n / PANEL, depth / together, PANEL, together], flat.

    ``n`` is a multiple of PANEL, and ``depth`` of ``together``: neighbours in depth that one
    instruction multiplies at once.
    """
    n, depth = matrix.shape
    tiles = matrix.reshape(n // PANEL, PANEL, depth // together, together)
    return np.ascontiguousarray(tiles.transpose(0, 2, 1, 3)).reshape(-1)


def bfloat16(array: Array) -> Array:
    """The upper halves of float32 numbers, rounded to even, as uint16."""
    bits = array.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def int8(matrix: Array) -> tuple[Array, Array]:
    """Each row [n, depth] as int8 and its scale [n]: row = int8 * scale.

    The largest number of a row becomes 127. Clipping would lose: rows are short beside 8 bits.
    """
    largest = np.abs(matrix).max(axis=1)
    scale = (np.where(largest > 0, largest, 1.0) / 127).astype(np.float32)
    rounded = np.rint(matrix / scale[:, None])
    return np.clip(rounded, -127, 127).astype(np.int8), scale
