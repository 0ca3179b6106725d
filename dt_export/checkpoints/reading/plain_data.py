"""What a checkpoint's pickle may name, and what we make of it: containers and NumPy's numbers.

None of these functions is what the pickle believes to call. Each checks what it is given and
builds the value from plain parts; none keeps or runs anything of the file.
"""

import math
from typing import Any

import numpy as np

from dt_export.checkpoints.reading.pickles import Call, Name, Unbuilt, checked_key

# By the code that NumPy gives them; structured, object, text and date types are not among them.
DTYPES = {
    code: np.dtype(code)
    for code in ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
}
LAYOUT = (None, None, None, -1, -1, 0)  # no subarray, no names, no fields, sizes as usual, no flags
NDARRAY = "numpy.ndarray"
MOST_AXES = 32


def array(kind: Any, shape: Any, code: Any) -> Unbuilt:
    """numpy._core.multiarray._reconstruct: an array that its state will fill."""
    if kind != Name(NDARRAY):
        raise ValueError("it holds an array that is not a numpy.ndarray")
    return Unbuilt(_fill)


def _fill(state: Any) -> np.ndarray:
    """From (version, shape, dtype, in Fortran's order, bytes)."""
    _version, shape, dtype, fortran, raw = state
    if not isinstance(dtype, np.dtype):
        raise ValueError("it holds an array without a type of plain numbers")
    if not isinstance(shape, tuple) or not isinstance(raw, bytes):
        raise ValueError("it holds an array of something that is not bytes")
    if len(shape) > MOST_AXES or not all(is_count(axis) for axis in shape):
        raise ValueError("it holds an array with an impossible shape")
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise ValueError(f"it holds an array of {len(raw)} bytes, which its shape contradicts")
    return np.frombuffer(raw, dtype).reshape(shape, order="F" if fortran else "C")


def dtype(code: Any, *_: Any) -> Unbuilt:
    """numpy.dtype: one of the plain ones; its state adds nothing that may differ."""
    if not isinstance(code, str) or code not in DTYPES:
        raise ValueError(f"it holds NumPy data of type {code!r:.40}, expected plain numbers")

    def build(state: Any) -> np.dtype:
        _version, order, *layout = state
        if order == ">":
            raise ValueError("it holds NumPy data with its bytes in big-endian order")
        if order not in ("<", "|", "=") or tuple(layout) != LAYOUT:
            raise ValueError("it holds NumPy data of a type that is not plain")
        return DTYPES[code]

    return Unbuilt(build)


def scalar(kind: Any, raw: Any) -> bool | int | float:
    """numpy._core.multiarray.scalar: a number."""
    if not isinstance(kind, np.dtype) or not isinstance(raw, bytes) or len(raw) != kind.itemsize:
        raise ValueError("it holds a NumPy scalar that is not a plain number")
    number: bool | int | float = np.frombuffer(raw, kind)[0].item()
    return number


def encode(text: Any, encoding: Any) -> bytes:
    """_codecs.encode: how protocol 2 writes bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise ValueError("it holds bytes in an encoding other than latin1")
    return text.encode("latin1")


def mapping(*arguments: Any) -> dict[Any, Any]:
    """OrderedDict, Counter and defaultdict, from nothing, a mapping or pairs."""
    items = [item for item in arguments if not isinstance(item, Name | None)]  # a default's type
    if not items:
        return {}
    (source,) = items
    pairs = source.items() if isinstance(source, dict) else source
    return {checked_key(key): value for key, value in pairs}


def collection(items: Any = ()) -> set[Any]:
    return {checked_key(item) for item in _sequence(items)}


def byte_array(content: Any = b"", encoding: Any = None) -> bytes:
    """bytes and bytearray, from bytes or from text in latin1; nothing here changes in place."""
    if isinstance(content, str) and encoding == "latin-1":
        return content.encode("latin1")
    if not isinstance(content, bytes | bytearray) or encoding is not None:
        raise ValueError("it holds a bytearray of something that is not bytes")
    return bytes(content)


def complex_number(real: Any, imaginary: Any) -> complex:
    return complex(float(real), float(imaginary))


def sizes(items: Any = ()) -> tuple[Any, ...]:
    """torch.Size."""
    return tuple(_sequence(items))


def device(*arguments: Any) -> str:
    """torch.device: its name; everything is read onto the CPU."""
    kind, *index = arguments
    if not isinstance(kind, str) or len(kind) > 40 or not all(map(is_count, index)):
        raise ValueError("it holds an impossible device")
    return ":".join(map(str, (kind, *index[:1])))


def is_count(value: Any) -> bool:
    """Whether a value is a natural number, small enough to count anything in a file."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40


def _sequence(items: Any) -> list[Any] | tuple[Any, ...]:
    if not isinstance(items, list | tuple):
        raise ValueError("it holds a container that is not made from a sequence")
    return items


BUILTINS = ("builtins", "__builtin__")  # Python 3's name, and what protocol 2 writes for it
CORES = ("numpy.core", "numpy._core")  # NumPy 1 and 2
CALLS: dict[str, Call] = {
    "collections.OrderedDict": mapping,
    "collections.defaultdict": mapping,
    "collections.Counter": mapping,
    "_codecs.encode": encode,
    "numpy.dtype": dtype,
    "torch.Size": sizes,
    "torch.device": device,
    **{f"{core}.multiarray._reconstruct": array for core in CORES},
    **{f"{core}.multiarray.scalar": scalar for core in CORES},
    **{f"{module}.{kind}": collection for module in BUILTINS for kind in ("set", "frozenset")},
    **{f"{module}.{kind}": byte_array for module in BUILTINS for kind in ("bytes", "bytearray")},
    **{f"{module}.complex": complex_number for module in BUILTINS},
}
DEFAULTS = ("dict", "list", "tuple", "int", "long", "float", "bool", "str", "unicode")
# Stand for themselves, as arguments: types of defaults, the class of an array.
NAMES = frozenset({NDARRAY} | {f"{module}.{kind}" for module in BUILTINS for kind in DEFAULTS})
