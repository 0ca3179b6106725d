"""Bytes: what a bad disk does, and what finds parsers that trust a length."""

import random
import struct

ODD_WORDS = (
    b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80",
    b"\xff" * 8, b"\x00" * 8, b"\xff" * 7 + b"\x7f", b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f",
)  # fmt: skip


def flip(rng: random.Random, content: bytes) -> bytes:
    """One to eight bits."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncate(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.choice((0, 1, 2, 4, 8, rng.randrange(len(content) + 1), len(content) - 1))]


def overwrite(rng: random.Random, content: bytes) -> bytes:
    """A word that is a limit of its type, somewhere; near the ends more often."""
    word = rng.choice((*ODD_WORDS, struct.pack("<Q", rng.getrandbits(64))))
    end = max(1, len(content) - len(word))
    at = rng.choice((rng.randrange(end), rng.randrange(min(end, 200)), end - rng.randrange(1, 200)))
    at = max(0, at)
    return content[:at] + word + content[at + len(word) :]


def cut(rng: random.Random, content: bytes) -> bytes:
    at, length = rng.randrange(len(content) + 1), rng.choice((1, 2, 8, 64, 512))
    return content[:at] + content[at + length :]


def insert(rng: random.Random, content: bytes) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.randbytes(rng.choice((1, 2, 8, 64))) + content[at:]


def repeat(rng: random.Random, content: bytes) -> bytes:
    at, length = rng.randrange(len(content) + 1), rng.choice((1, 8, 64, 512))
    part = content[at : at + length]
    return content[:at] + part * rng.randint(2, 40) + content[at + length :]


def splice(rng: random.Random, content: bytes, other: bytes) -> bytes:
    """The beginning of one and the end of another."""
    return content[: rng.randrange(len(content) + 1)] + other[rng.randrange(len(other) + 1) :]


WAYS = (flip, flip, flip, truncate, overwrite, overwrite, cut, insert, repeat)


def mutate(rng: random.Random, content: bytes, other: bytes = b"") -> tuple[bytes, str]:
    """The content changed in one way, and the name of the way."""
    if other and rng.random() < 0.1:
        return splice(rng, content, other), "splice"
    way = rng.choice(WAYS)
    return (way(rng, content), way.__name__) if content else (rng.randbytes(16), "noise")
