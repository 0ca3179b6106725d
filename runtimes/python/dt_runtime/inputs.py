"""Checks of what the caller passes: numbers of the right shape that float32 can hold.

A wrong type or shape is a bug in the caller: a ``ValueError``. A number that is NaN, infinite or
beyond float32 is the fault of a sensor: a ``NotFiniteError``.
"""

from typing import Any

import numpy as np

from dt_runtime.checks import MAX_FLOAT32
from dt_runtime.errors import ArgumentError


class NotFiniteError(ValueError):
    """An observation or a reward is NaN, infinite, or beyond what float32 holds."""


def numbers(field: str, value: Any) -> np.ndarray:
    """``value`` as an array of integers or floats.

    Raises:
        ValueError: it is anything else: text, dates, objects, complex numbers, a masked array.
    """
    if type(value) is np.ndarray and value.dtype.kind in "biuf":
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError(f"{field} is a masked array: fill the masked entries first")
    try:
        array = np.asarray(value)
    except MemoryError:
        raise
    except Exception:  # whatever the conversion of a foreign object raises
        raise ValueError(f"{field} is not an array of numbers: {shown(value)}") from None
    if array.dtype.kind not in "biuf":
        what = f"{array.dtype}" if isinstance(value, np.ndarray) else shown(value)
        raise ValueError(f"{field} is not an array of numbers: {what}")
    return array


def floats(field: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """``value`` as float32 of this shape.

    Raises:
        NotFiniteError: an entry is NaN, infinite, or beyond float32.
        ValueError: no numbers, or another shape.
    """
    array = numbers(field, value)
    if array.shape != shape:
        raise ValueError(f"{field} has shape {array.shape}, expected {shape}")
    with np.errstate(over="ignore", invalid="ignore"):  # what becomes infinite is refused below
        single = array.astype(np.float32)
    if not np.isfinite(single).all():
        where = np.argwhere(~np.isfinite(single))[0].tolist()
        name = f"{field}{where if where else ''}"
        raise NotFiniteError(f"{name} is {array[tuple(where)]}, expected finite numbers{RANGE}")
    return single


RANGE = f" of at most {MAX_FLOAT32:.4g} (float32)"


def integers(field: str, value: Any, shape: tuple[int, ...], largest: int) -> np.ndarray:
    """``value`` as integers from 0 to ``largest``, of this shape.

    Raises:
        ValueError: it is anything else.
    """
    array = numbers(field, value)
    if array.shape != shape:
        raise ValueError(f"{field} has shape {array.shape}, expected {shape}")
    if array.dtype.kind not in "iu":
        raise ValueError(f"{field} has {array.dtype}, expected integers from 0 to {largest}")
    for bound in (array.min(), array.max()):
        if not 0 <= bound <= largest:
            raise ValueError(f"{field} holds {bound}, expected 0 to {largest}")
    return array


def row(field: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """``value`` as an array; one of ``(1, *shape)`` loses its first axis.

    Raises:
        ValueError: no numbers.
    """
    array = numbers(field, value)
    return array[0] if array.shape == (1, *shape) else array


def doubles(field: str, value: Any, rows: int) -> np.ndarray:
    """One number a row as float64, whatever it is: [rows].

    Raises:
        ValueError: no numbers, or another shape.
    """
    array = numbers(field, value)
    if array.shape != (rows,) and (rows > 1 or array.size != 1):
        expected = "a number" if rows == 1 else f"shape ({rows},)"
        raise ValueError(f"{field} has shape {array.shape}, expected {expected}")
    with np.errstate(over="ignore"):  # of numbers longer than float64
        return array.astype(np.float64).reshape(rows)


def targets(value: Any, rows: int, limit: float) -> np.ndarray:
    """Returns to ask for, float64, one number or one a row.

    Raises:
        ValueError: no numbers, another shape, or not within ``limit`` of zero.
    """
    array = numbers("target_return", value)
    if array.shape not in ((), (rows,)):
        raise ArgumentError(
            f"target_return has shape {array.shape}, expected a number or ({rows},)"
        )
    with np.errstate(over="ignore"):
        array = array.astype(np.float64)
    for target in array[~(np.abs(array) <= limit)].flat:
        raise ArgumentError(
            f"target_return is {target}, expected finite numbers of at most {limit:.4g} "
            "(float32, after the return scale too)"
        )
    return array


def rows_of(rows: Any, batch: int) -> np.ndarray:
    """Indices of rows from indices or a boolean mask; all of them for None.

    Raises:
        ValueError: neither of the two, rows that do not exist, or one that is named twice.
    """
    if rows is None:
        return np.arange(batch)
    index = numbers("rows", rows)
    if index.dtype == bool:
        if index.shape != (batch,):
            raise ArgumentError(f"rows has shape {index.shape}, expected ({batch},)")
        return np.flatnonzero(index)
    if index.size == 0:
        return np.arange(0)
    if index.dtype.kind == "f" or index.ndim > 1:
        raise ArgumentError(f"rows is {shown(rows)}, expected indices or a boolean mask")
    index = index.reshape(-1)
    if ((index < 0) | (index >= batch)).any():
        raise ArgumentError(f"rows is {shown(index.tolist())}, expected 0 to {batch - 1}")
    if len(np.unique(index)) != len(index):
        raise ArgumentError(f"rows is {shown(index.tolist())}, expected each row once")
    return index.astype(np.int64)


def shown(value: Any) -> str:
    """A value for a message: of a number with thousands of digits, only what it is."""
    try:
        return f"{value!r:.80}"
    except Exception:  # of a foreign object, or an integer too long to be written
        return type(value).__name__
