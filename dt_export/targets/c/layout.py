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

    The scale is the one of least squared error among some that clip a little.
    """
    largest = np.abs(matrix).max(axis=1)
    largest = np.where(largest > 0, largest, 1.0)
    best, error = None, np.full(len(matrix), np.inf)
    scales = np.ones(len(matrix), np.float32)
    for share in (1.0,):
        scale = (largest * share / 127).astype(np.float32)
        rounded = np.clip(np.rint(matrix / scale[:, None]), -127, 127)
        squared = ((rounded * scale[:, None] - matrix) ** 2).sum(axis=1)
        better = squared < error
        best = rounded if best is None else np.where(better[:, None], rounded, best)
        scales = np.where(better, scale, scales).astype(np.float32)
        error = np.minimum(error, squared)
    assert best is not None
    return best.astype(np.int8), scales
