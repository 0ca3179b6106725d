"""``.npy`` and ``.npz``: headers that lie, objects, odd types, encryption, bombs."""

import io
import pickle
import random
import struct
from typing import Any

import numpy as np

from fuzz.mutations import archive, opcodes, pickles, raw

DESCRIPTIONS = (
    "'|O'", "'<M8[s]'", "'<m8[ns]'", "'|V8'", "'<U5'", "'|S5'", "'<c16'", "'|b1'", "'|i1'", "'<f2'",
    "'<f16'", "'>f8'", "[('a', '<f4')]", "[('a', '|O')]", "'(2,)<f4'", "'<f4,<f4'", "''", "None",
    "5", "{'names': ['a'], 'formats': ['<f4'], 'offsets': [1000000]}", "('<f4', (10**9,))", "'x'",
    "[" * 200 + "]" * 200, "'<f8' if 1 else 2", "__import__('os')", "'<i8'", "'<u8'", "'|V0'",
)  # fmt: skip
SHAPES = (
    "(5,)",
    "(-5,)",
    "(10**9,)",
    "(1000000000000,)",
    "(5, 0)",
    "()",
    "(True,)",
    "(5.0,)",
    "None",
    "(2147483648, 2147483648, 4)",
    "(9223372036854775807,)",
    "(" + "1," * 70 + ")",
    "'5'",
    "[5]",
    "(" + "9" * 5000 + ",)",
)


def npy(description: str = "'<f8'", shape: str = "(5,)", body: bytes = b"\x00" * 40,
        version: bytes = b"\x01\x00", length: int | None = None) -> bytes:  # fmt: skip
    """A file with this header, whatever it says."""
    header = f"{{'descr': {description}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    size = len(header) if length is None else length
    wide = version != b"\x01\x00"
    packed = struct.pack("<I", size) if wide else struct.pack("<H", min(size, 65535))
    return b"\x93NUMPY" + version + packed + header + body


def _objects(rng: random.Random) -> bytes:
    payload = rng.choice(
        (pickles.whole(rng)[0], opcodes.program(pickles.gadget(rng)), pickle.dumps([None] * 5))
    )
    return npy("'|O'", body=payload)


def _values(rng: random.Random) -> bytes:
    array = np.ones(rng.choice((0, 1, 4, 5, 5, 5, 6)))
    if array.size:
        array[rng.randrange(array.size)] = rng.choice((0, -1, np.nan, np.inf, 1e39, 1e-320))
    buffer = io.BytesIO()
    kind: Any = rng.choice(("f8", "f4", "i8", "u1", "c8", "?", "f2", "S3", "U3"))
    with np.errstate(all="ignore"):
        made = array.astype(kind) if kind != "c8" else array.astype(complex)
    np.save(buffer, made.reshape(rng.choice(((-1,), (1, -1), (-1, 1)))))
    return buffer.getvalue()


def mutate_npy(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    ways = {
        "npy bytes": lambda: raw.mutate(rng, content)[0],
        "npy type": lambda: npy(rng.choice(DESCRIPTIONS)),
        "npy shape": lambda: npy(shape=rng.choice(SHAPES)),
        "npy objects": lambda: _objects(rng),
        "npy values": lambda: _values(rng),
        "npy version": lambda: npy(version=rng.choice((b"\x02\x00", b"\x03\x00", b"\x09\x00"))),
        "npy length": lambda: npy(length=rng.choice((0, 1, 60000, 2**31)), version=b"\x02\x00"),
        "npy header": lambda: npy(shape="(5,), 'x': " + "(" * rng.choice((50, 5000))),
    }
    name = rng.choice(list(ways))
    return ways[name](), name


def mutate_npz(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    if rng.random() < 0.4:
        return archive.mutate(rng, content)
    found = archive.records(content)
    at = rng.randrange(len(found))
    made, way = mutate_npy(rng, found[at][1])
    found[at] = (found[at][0], made)
    return archive.packed(found), f"npz {way}"
