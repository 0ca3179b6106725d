"""Pickles: an opcode put in, taken out or doubled; a value replaced by an odd one."""

import pickle
import pickletools
import random
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from fuzz.mutations import opcodes as op

PAYLOAD = "touch $FUZZ_CANARY"
CODE = "import os; open(os.environ['FUZZ_CANARY'], 'w').close()"

DANGEROUS: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
    ("os", "system", (PAYLOAD,)),
    ("posix", "system", (PAYLOAD,)),
    ("nt", "system", (PAYLOAD,)),
    ("builtins", "eval", ("1+1",)),
    ("builtins", "exec", (CODE,)),
    ("__builtin__", "exec", (CODE,)),
    ("builtins", "open", ("made", "w")),
    ("builtins", "__import__", ("this",)),
    ("builtins", "getattr", (op.name("os", "environ"), "copy")),
    ("importlib", "import_module", ("this",)),
    ("subprocess", "Popen", (["touch", "made"],)),
    ("subprocess", "check_output", (["id"],)),
    ("runpy", "run_path", ("/etc/hostname",)),
    ("socket", "create_connection", (("127.0.0.1", 9), 1)),
    ("shutil", "rmtree", (".",)),
    ("pathlib", "Path", ("x",)),
    ("functools", "partial", (op.name("os", "system"), PAYLOAD)),
    ("operator", "attrgetter", ("__class__",)),
    ("operator", "methodcaller", ("__reduce__",)),
    ("pickle", "loads", (b"cos\nsystem\n(S'true'\ntR.",)),
    ("torch", "load", ("model.pt",)),
    ("torch.hub", "load", ("x", "y")),
    ("torch.serialization", "load", ("model.pt",)),
    ("torch._utils", "_import_dotted_name", ("os.system",)),
    ("torch.storage", "_load_from_bytes", (b"\x80\x02}q\x00.",)),
    ("numpy", "load", ("x.npy",)),
    ("numpy.lib.npyio", "load", ("x.npy",)),
    ("numpy", "fromfile", ("/etc/hostname",)),
    ("numpy", "memmap", ("/etc/hostname",)),
    ("numpy.f2py", "compile", ("x",)),
    ("dt_export.checkpoints.reading", "read_plain_pickle", ("x",)),
    ("antigravity", "x", ()),
    ("this", "s", ()),
)  # fmt: skip

ODD: tuple[tuple[str, str], ...] = (
    *(("numpy.dtypes", name) for name in np.dtypes.__all__),
    ("numpy", "dtype"), ("numpy", "ndarray"), ("numpy", "recarray"), ("numpy", "matrix"),
    ("numpy", "void"), ("numpy", "object_"), ("numpy", "str_"), ("numpy", "float64"),
    ("numpy._core.multiarray", "_reconstruct"), ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"), ("numpy.core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"), ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.multiarray", "frombuffer"), ("numpy.random", "__RandomState_ctor"),
    ("numpy.random._pickle", "__randomstate_ctor"), ("numpy.ma.core", "_mareconstruct"),
    ("_codecs", "encode"), ("_codecs", "decode"), ("codecs", "encode"),
    ("copyreg", "_reconstructor"), ("copy_reg", "_reconstructor"), ("copyreg", "__newobj__"),
    ("builtins", "object"),
    ("builtins", "bytearray"), ("builtins", "bytes"), ("builtins", "set"), ("builtins", "range"),
    ("builtins", "complex"), ("builtins", "slice"), ("builtins", "type"), ("builtins", "dict"),
    ("collections", "OrderedDict"), ("collections", "Counter"), ("collections", "defaultdict"),
    ("collections", "deque"), ("collections", "namedtuple"), ("argparse", "Namespace"),
    ("torch", "Tensor"), ("torch", "Size"), ("torch", "device"), ("torch", "Generator"),
    ("torch", "tensor"), ("torch", "empty"), ("torch", "from_file"), ("torch", "as_strided"),
    ("torch", "FloatStorage"), ("torch", "BoolStorage"), ("torch", "QInt8Storage"),
    ("torch", "UntypedStorage"), ("torch", "float32"), ("torch", "qint8"), ("torch", "sparse_coo"),
    ("torch.storage", "TypedStorage"), ("torch.storage", "UntypedStorage"),
    ("torch.nn.parameter", "Parameter"), ("torch.nn.parameter", "UninitializedParameter"),
    ("torch.nn.parameter", "Buffer"), ("torch.nn.modules.linear", "Linear"),
    ("torch.serialization", "_get_layout"), ("torch.distributed.tensor", "DTensor"),
    *(
        ("torch._utils", name)
        for name in (
            "_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_parameter",
            "_rebuild_parameter_with_state", "_rebuild_qtensor", "_rebuild_sparse_tensor",
            "_rebuild_meta_tensor_no_storage", "_rebuild_wrapper_subclass",
            "_rebuild_nested_tensor", "_rebuild_device_tensor_from_numpy",
            "_rebuild_device_tensor_from_cpu_tensor",
            "_rebuild_xla_tensor", "_sparse_tensors_to_validate",
        )
    ),
    ("torch._tensor", "_rebuild_from_type_v2"), ("torch._tensor", "_rebuild_from_type"),
)  # fmt: skip


def odd_value(rng: random.Random, depth: int = 0) -> Any:
    choices: tuple[Callable[[], Any], ...] = (
        lambda: None,
        lambda: rng.choice((True, False)),
        lambda: rng.choice((0, 1, -1, 2, 4, 255, 1 << 31, -(1 << 31), 1 << 62, 1 << 63, 1 << 64)),
        lambda: -rng.getrandbits(rng.choice((8, 40, 200))),
        lambda: 10**5000,
        lambda: rng.choice((0.0, -1.5, float("nan"), float("inf"), 1e308, 5e-324)),
        lambda: rng.choice(("", "cpu", "cuda", "meta", "0", "f4", "O", "V8", "(2,)f4", "M8[s]")),
        lambda: rng.choice(("storage", "../../x", "\udc80", "x" * 1000, "{0.__class__}", "\x00")),
        lambda: rng.choice((b"", b"\x00" * 8, b"\xff" * 24, b"x" * 300)),
        lambda: op.storage(rng.choice(("FloatStorage", "DoubleStorage", "QInt8Storage")), "0"),
        lambda: op.name(*rng.choice(ODD)),
        lambda: {},
        lambda: [],
        lambda: (),
        lambda: (3, "<", None, None, None, -1, -1, rng.choice((0, 63, 255))),
        lambda: (3, "|", None, ("a",), {"a": (op.name("numpy", "dtype"), 0)}, 8, 1, 63),
        lambda: (None, {"__class__": op.name("torch", "Tensor")}),
    )
    if depth < 2 and rng.random() < 0.3:
        return tuple(odd_value(rng, depth + 1) for _ in range(rng.randint(1, 4)))
    return rng.choice(choices)()


def gadget(rng: random.Random) -> op.Raw:
    """Opcodes that push one value by way of something that no weights need."""
    kind = rng.randrange(9)
    if kind < 2:
        module, attribute, arguments = rng.choice(DANGEROUS)
        called = rng.choice((op.name, op.stack_name))(module, attribute)
    else:
        module, attribute = rng.choice(ODD)
        called = rng.choice((op.name, op.stack_name))(module, attribute)
        arguments = tuple(odd_value(rng) for _ in range(rng.randint(0, 5)))
    if kind == 8:
        return rng.choice(
            (
                op.persistent(odd_value(rng)),
                op.persistent_text("0"),
                op.extension(rng.randrange(256)),
                op.inst(module, attribute, *arguments),
                op.obj(called, *arguments),
            )
        )
    made = rng.choice((op.call, op.call, op.new))(called, *arguments)
    return op.build(made, odd_value(rng)) if rng.random() < 0.5 else made


def _span(content: bytes) -> list[tuple[int, int, Any, Any]]:
    """(start, end, opcode, argument) of every opcode."""
    found = [(at, code, argument) for code, argument, at in pickletools.genops(content)]
    ends = [at for at, _, _ in found[1:]] + [found[-1][0] + 1]
    return [(at, end, code, arg) for (at, code, arg), end in zip(found, ends, strict=True)]


PUSHES = {
    "BININT", "BININT1", "BININT2", "INT", "LONG1", "BINUNICODE", "SHORT_BINUNICODE", "NONE",
    "NEWTRUE", "NEWFALSE", "BINFLOAT", "EMPTY_TUPLE", "GLOBAL", "BINGET", "SHORT_BINBYTES",
}  # fmt: skip


def insert(rng: random.Random, content: bytes, spans: list[Any]) -> bytes:
    """Something runs, and its result is dropped: the rest loads as before."""
    at = rng.choice(spans[1:])[0]
    return content[:at] + gadget(rng) + op.POP + content[at:]


def beside(rng: random.Random, content: bytes, spans: list[Any]) -> bytes:
    return op.beside(content, gadget(rng))


def replace(rng: random.Random, content: bytes, spans: list[Any]) -> bytes:
    """A value becomes an odd one, or something that is called."""
    start, end, *_ = rng.choice([s for s in spans if s[2].name in PUSHES])
    made = gadget(rng) if rng.random() < 0.4 else op.value(odd_value(rng))
    return content[:start] + made + content[end:]


def drop(rng: random.Random, content: bytes, spans: list[Any]) -> bytes:
    start, end, *_ = rng.choice(spans)
    return content[:start] + content[end:]


def double(rng: random.Random, content: bytes, spans: list[Any]) -> bytes:
    start, end, *_ = rng.choice(spans)
    return content[:end] + content[start:end] * rng.choice((1, 1, 2, 50)) + content[end:]


def swap(rng: random.Random, content: bytes, spans: list[Any]) -> bytes:
    """Another opcode in place of one without an argument."""
    start, end, *_ = rng.choice([s for s in spans if s[1] - s[0] == 1])
    other = rng.choice(b"()].}0123RbtulaeosQ\x81\x85\x86\x87\x89\x90\x91\x93\x94\x98")
    return content[:start] + bytes([other]) + content[end:]


def lie(rng: random.Random, content: bytes, spans: list[Any]) -> bytes:
    """A length, a memo or an integer with another value."""
    wide = [s for s in spans if s[1] - s[0] >= 2]
    start, end, *_ = rng.choice(wide)
    body = bytearray(content[start + 1 : end])
    for at in range(min(len(body), 4)):
        body[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, body[at], rng.randrange(256)))
    return content[: start + 1] + bytes(body) + content[end:]


def giant(rng: random.Random, content: bytes, spans: list[Any]) -> bytes:
    """A length that no memory has, where the value would stand."""
    size = struct.pack("<Q", rng.choice((1 << 40, 1 << 62, (1 << 63) + 8, 1 << 31)))
    made = rng.choice(
        (
            pickle.BINUNICODE8 + size, pickle.BINBYTES8 + size, pickle.BYTEARRAY8 + size,
            pickle.FRAME + size, pickle.LONG4 + b"\xff\xff\xff\x7f", pickle.LONG4 + b"\xff" * 4,
            pickle.BINUNICODE + b"\xff\xff\xff\x7f", pickle.LONG_BINPUT + b"\xff\xff\xff\x7f",
            pickle.LONG_BINGET + b"\xff" * 4, pickle.EXT4 + b"\xff\xff\xff\x7f",
            b"I" + b"9" * 5000 + b"\n", b"L" + b"9" * 5000 + b"L\n", b"F1e999\n", b"S'\\x'\n",
        )
    )  # fmt: skip
    at = rng.choice(spans[1:])[0]
    return content[:at] + made + content[at:]


def nest(rng: random.Random, content: bytes, spans: list[Any]) -> bytes:
    """Containers in containers, deeper than a stack."""
    depth = rng.choice((100, 5000, 200_000))
    at = rng.choice(spans[1:])[0]
    made = rng.choice((b"]" * depth + b"a" * (depth - 1), b")" + b"\x85" * depth, b"(" * depth))
    return content[:at] + made + (b"0" if made[:1] != b"(" else b"") + content[at:]


def memo_bomb(rng: random.Random, content: bytes, spans: list[Any]) -> bytes:
    """A list of lists that doubles with every line: little to write, much to walk."""
    levels = rng.choice((10, 30, 60))
    made = b"]q\x00"
    for level in range(levels):
        made += b"](h" + bytes([level]) + b"h" + bytes([level]) + b"eq" + bytes([level + 1])
    at = rng.choice(spans[1:])[0]
    return content[:at] + made + op.POP + content[at:]


WAYS = (
    beside,
    beside,
    beside,
    insert,
    insert,
    insert,
    replace,
    replace,
    replace,
    drop,
    double,
    swap,
    lie,
    giant,
    nest,
    memo_bomb,
)


def mutate(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    try:
        spans = _span(content)
        way = rng.choice(WAYS)
        return way(rng, content, spans), way.__name__
    except (ValueError, IndexError, struct.error, OverflowError):  # no longer a pickle
        return content + gadget(rng) + b".", "append"


def whole(rng: random.Random) -> tuple[bytes, str]:
    """A pickle of its own: a dict of names to gadgets, in one of the protocols."""
    head = rng.choice((b"", op.PROTO_2, b"\x80\x04", b"\x80\x05", b"\x80\x01", b"\x80\xff"))
    items = {rng.choice(("a", "transformer.h.0.attn.c_attn.weight", "torch")): gadget(rng)}
    return op.program(items, head), "crafted"
