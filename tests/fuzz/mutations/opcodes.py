"""Pickles opcode by opcode: what an attacker writes, rather than what ``pickle.dumps`` does."""

import pickle
import struct
from typing import Any

MARK, STOP, POP, TUPLE, REDUCE, BUILD, NEWOBJ = (
    getattr(pickle, name) for name in ("MARK", "STOP", "POP", "TUPLE", "REDUCE", "BUILD", "NEWOBJ")
)
EMPTY_TUPLE, EMPTY_DICT, EMPTY_LIST = pickle.EMPTY_TUPLE, pickle.EMPTY_DICT, pickle.EMPTY_LIST
PROTO_2 = pickle.PROTO + b"\x02"


class Raw(bytes):
    """Opcodes that push one value, in place of a value."""


def name(module: str, attribute: str) -> Raw:
    return Raw(b"c" + module.encode() + b"\n" + attribute.encode() + b"\n")


def stack_name(module: str, attribute: str) -> Raw:
    return Raw(value(module) + value(attribute) + pickle.STACK_GLOBAL)


def value(item: Any) -> bytes:
    """Opcodes that push a plain value; containers may hold ``Raw``."""
    if isinstance(item, Raw):
        return item
    if item is None:
        return pickle.NONE
    if isinstance(item, bool):
        return pickle.NEWTRUE if item else pickle.NEWFALSE
    if isinstance(item, int):
        if -(1 << 31) <= item < 1 << 31:
            return pickle.BININT + struct.pack("<i", item)
        content = pickle.encode_long(item)
        return pickle.LONG4 + struct.pack("<i", len(content)) + content
    if isinstance(item, float):
        return pickle.BINFLOAT + struct.pack(">d", item)
    if isinstance(item, str):
        content = item.encode("utf-8", "surrogatepass")
        return pickle.BINUNICODE + struct.pack("<I", len(content)) + content
    if isinstance(item, bytes):
        return pickle.BINBYTES + struct.pack("<I", len(item)) + item
    if isinstance(item, tuple):
        return MARK + b"".join(map(value, item)) + TUPLE
    if isinstance(item, list):
        return EMPTY_LIST + MARK + b"".join(map(value, item)) + pickle.APPENDS
    if isinstance(item, dict):
        pairs = b"".join(value(k) + value(v) for k, v in item.items())
        return EMPTY_DICT + MARK + pairs + pickle.SETITEMS
    raise TypeError(type(item))


def call(function: bytes, *arguments: Any) -> Raw:
    return Raw(function + value(tuple(arguments)) + REDUCE)


def new(cls: bytes, *arguments: Any) -> Raw:
    return Raw(cls + value(tuple(arguments)) + NEWOBJ)


def build(item: bytes, state: Any) -> Raw:
    return Raw(item + value(state) + BUILD)


def inst(module: str, attribute: str, *arguments: Any) -> Raw:
    pushed = b"".join(map(value, arguments))
    return Raw(MARK + pushed + b"i" + module.encode() + b"\n" + attribute.encode() + b"\n")


def obj(cls: bytes, *arguments: Any) -> Raw:
    return Raw(MARK + cls + b"".join(map(value, arguments)) + b"o")


def persistent(item: Any) -> Raw:
    return Raw(value(item) + pickle.BINPERSID)


def persistent_text(text: str) -> Raw:
    return Raw(b"P" + text.encode() + b"\n")


def extension(code: int) -> Raw:
    return Raw(b"\x82" + bytes([code & 0xFF]))


def storage(kind: str = "FloatStorage", key: str = "0", size: int = 4) -> Raw:
    """A storage by the name of its record, as torch's files have it."""
    return persistent(("storage", name("torch", kind), key, "cpu", size))


def tensor(held: bytes, offset: Any = 0, size: Any = (4,), stride: Any = (1,), *more: Any) -> Raw:
    hooks = call(name("collections", "OrderedDict"))
    return call(
        name("torch._utils", "_rebuild_tensor_v2"), Raw(held), offset, size, stride, False,
        hooks, *more,
    )  # fmt: skip


def program(item: Any, head: bytes = PROTO_2) -> bytes:
    return head + value(item) + STOP


def beside(content: bytes, gadget: bytes) -> bytes:
    """The same document as the ``state_dict`` of a larger one, where the gadget's value stands too.

    Some unpicklers know no POP, so that this is how a file loads as before and does one thing more.
    """
    held = content[2:-1]  # without the protocol and STOP
    pairs = value("state_dict") + held + value("extra") + gadget
    return content[:2] + EMPTY_DICT + MARK + pairs + pickle.SETITEMS + STOP
