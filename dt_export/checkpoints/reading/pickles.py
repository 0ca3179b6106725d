"""A reader of pickles that makes plain data and nothing else.

A pickle is a program for a small stack machine, and Python's own unpickler lets it call and change
whatever it can name. This one is a machine of our own: it knows the opcodes that build containers,
numbers and text, and a fixed list of names. A name is never imported. It stands for a function of
ours that takes plain values and gives plain values back, or for nothing at all.

What each opcode that could do more than that may do here:

- GLOBAL, STACK_GLOBAL: put a ``Name`` on the stack, if the list has it.
- REDUCE: calls a function of the list; anything else is refused.
- BUILD: fills an array or a dtype that REDUCE has just made, and is ignored on a mapping, where
  PyTorch keeps versions. Nothing is ever set on an object, so that state cannot reach one.
- SETITEM(S), APPEND(S), ADDITEMS: fill a dict, list or set of this machine's own making. Keys are
  numbers and text: hashing a nested tuple can take for ever.
- BINPERSID: asks for a tensor's storage.
- Everything that makes something, or copies what it is given, is charged for it: a few bytes of a
  pickle can ask for the same work again and again.
- INST, OBJ, NEWOBJ, NEWOBJ_EX, PERSID, EXT, buffers from outside: refused.
"""

import pickletools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, cast

from dt_export.checkpoints.reading.bounded import Bounded

MOST_OPCODES = 2_000_000
MOST_MADE = 2**28  # bytes, roughly, of all that is made and copied
LARGEST_KEY = 2**60  # integers beyond it can be chosen so that all have one hash
MOST_BITS = 4096  # of an integer: states of random generators take 128
KEYS = (str, bytes, int, float, bool, type(None))
IDENTIFIER = re.compile(r"[A-Za-z_][\w.<>]{0,199}")

Call = Callable[..., Any]


class NamesCodeError(Exception):
    """A pickle asks for something that reading it as usual would import, call or change."""


@dataclass(frozen=True)
class Name:
    """Something that a pickle named: inert, whatever it was called."""

    name: str  # module and attribute, with a dot between


@dataclass
class Unbuilt:
    """What REDUCE began and BUILD must finish before anything else may hold it."""

    build: Call  # takes the state, gives the finished value
    memo: set[int] = field(default_factory=set)  # where the pickle remembers it


@dataclass(frozen=True)
class Vocabulary:
    """What a pickle may name: functions by name, and names that stand for nothing."""

    calls: Mapping[str, Call]
    names: frozenset[str]
    storage: Call | None = None  # takes a persistent id


def read_pickle(stream: Bounded, vocabulary: Vocabulary) -> Any:
    """The value of the pickle that begins here; the stream then stands behind it.

    Raises:
        NamesCodeError: it asks for something that is not in the vocabulary.
        ValueError, and others: it is damaged. Callers turn them into errors that name the file.
    """
    return _Machine(vocabulary).run(stream)


class _Machine:
    def __init__(self, vocabulary: Vocabulary):
        self.vocabulary = vocabulary
        self.stack: list[Any] = []
        self.marks: list[int] = []  # how high the stack was
        self.memo: dict[int, Any] = {}
        self.made = 0  # roughly in bytes

    def run(self, stream: Bounded) -> Any:
        readable = cast(IO[bytes], stream)  # no more than read, readline and tell are called
        for count, (opcode, argument, _) in enumerate(pickletools.genops(readable)):
            if count > MOST_OPCODES:
                raise ValueError(f"its pickle has more than {MOST_OPCODES} opcodes")
            if opcode.name == "STOP":
                return self.pop()
            if opcode.name in LITERALS:
                self.stack.append(_literal(argument))
            else:
                handler = HANDLERS.get(opcode.name)
                if handler is None:
                    raise NamesCodeError(self.what(opcode.name, argument))
                handler(self, argument)
        raise ValueError("its pickle does not end")

    def what(self, opcode: str, argument: Any) -> str:
        """For the message: the opcode, and what it would have been used on."""
        if opcode == "INST" and isinstance(argument, str):
            return argument.replace(" ", ".", 1)
        named = next((item.name for item in reversed(self.stack) if isinstance(item, Name)), None)
        return f"opcode {opcode} on {named}" if named else f"opcode {opcode}"

    # The stack

    def pop(self) -> Any:
        if not self.stack or (self.marks and len(self.stack) <= self.marks[-1]):
            raise ValueError("its pickle takes more from the stack than it put there")
        return _finished(self.stack.pop())

    def pop_mark(self) -> list[Any]:
        """Everything above the last mark."""
        if not self.marks:
            raise ValueError("its pickle has no mark where it needs one")
        height = self.marks.pop()
        items = [_finished(item) for item in self.stack[height:]]
        del self.stack[height:]
        return items

    def top(self, kind: type | tuple[type, ...]) -> Any:
        """The container on top, which stays there."""
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise ValueError("its pickle fills something that is not a container")
        return self.stack[-1]

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def make(self, value: Any) -> None:
        """Push something new."""
        self.charge(_weight(value))
        self.push(value)

    def charge(self, weight: int) -> None:
        self.made += weight
        if self.made > MOST_MADE:
            raise ValueError(f"its pickle makes more than {MOST_MADE} bytes")

    # Containers

    def mark(self, _: Any) -> None:
        self.marks.append(len(self.stack))

    def discard(self, _: Any) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()  # POP takes a mark like any other item
        else:
            self.pop()

    def duplicate(self, _: Any) -> None:
        self.push(_finished(self.stack[-1]))

    def tuple_of(self, size: int) -> None:
        items = [self.pop() for _ in range(size)]
        self.push(tuple(reversed(items)))

    def append(self, _: Any) -> None:
        value = self.pop()
        self.top(list).append(value)

    def extend(self, _: Any) -> None:
        items = self.pop_mark()
        self.top(list).extend(items)

    def add(self, _: Any) -> None:
        items = self.pop_mark()
        self.top(set).update(map(checked_key, items))

    def set_item(self, _: Any) -> None:
        value, key = self.pop(), self.pop()
        self.top(dict)[checked_key(key)] = value

    def set_items(self, _: Any) -> None:
        items = self.pop_mark()
        self.top(dict).update(_pairs(items))

    # The memo

    def put(self, index: int) -> None:
        value = self.stack[-1]
        if isinstance(value, Unbuilt):
            value.memo.add(index)
        self.memo[index] = value

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise ValueError(f"its pickle asks for item {index} of a memo that has none")
        self.push(_finished(self.memo[index]))

    # Names

    def name(self, module_and_name: str) -> None:
        module, _, name = module_and_name.partition(" ")
        self.push(self.known(module, name))

    def stack_name(self, _: Any) -> None:
        name, module = self.pop(), self.pop()
        self.push(self.known(module, name))

    def known(self, module: Any, name: Any) -> Name:
        for part in (module, name):
            if not isinstance(part, str) or not IDENTIFIER.fullmatch(part):
                raise ValueError("its pickle names something that cannot be a name")
        full = f"{module}.{name}"
        if full not in self.vocabulary.calls and full not in self.vocabulary.names:
            raise NamesCodeError(full)
        return Name(full)

    def reduce(self, _: Any) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise ValueError("its pickle calls something that is not a function")
        call = self.vocabulary.calls.get(function.name)
        if call is None:
            raise NamesCodeError(f"a call of {function.name}")
        self.charge(_weight(arguments) + sum(map(_weight, arguments)))
        self.make(call(*arguments))

    def build(self, _: Any) -> None:
        state = self.pop()
        target = self.stack[-1]
        if isinstance(target, Unbuilt):
            self.charge(
                _weight(state) + sum(map(_weight, state if isinstance(state, tuple) else ()))
            )
            self.stack[-1] = built = target.build(state)
            self.charge(_weight(built))
            for index in target.memo:
                self.memo[index] = built
        elif not isinstance(target, dict) or not isinstance(state, dict):
            raise NamesCodeError(f"state for an object of {_kind(target)}")

    def persistent(self, _: Any) -> None:
        identity = self.pop()
        if self.vocabulary.storage is None:
            raise NamesCodeError("a persistent id")
        self.push(self.vocabulary.storage(identity))


def _finished(value: Any) -> Any:
    if isinstance(value, Unbuilt):
        raise ValueError("its pickle uses an array that it has not filled")
    return value


def _literal(value: Any) -> Any:
    if isinstance(value, str):
        value.encode("utf-8")  # lone surrogates, which no terminal can show
    elif isinstance(value, int) and value.bit_length() > MOST_BITS:
        raise ValueError(f"its pickle has an integer of {value.bit_length()} bits")
    return value


def checked_key(value: Any) -> Any:
    if not isinstance(value, KEYS):
        raise ValueError(f"its pickle has a key of type {_kind(value)}, expected text or a number")
    if isinstance(value, int) and abs(value) >= LARGEST_KEY:
        raise ValueError(f"its pickle has a key of {value.bit_length()} bits")
    return value


def _pairs(items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise ValueError("its pickle has a key without a value")
    return {checked_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


def _weight(value: Any) -> int:
    """Roughly the bytes of a fresh copy, and the work to look through it."""
    if isinstance(value, str | bytes):
        return 50 + len(value)
    if isinstance(value, set | dict):
        return 200 + 64 * len(value)
    if isinstance(value, list | tuple):
        return 60 + 16 * len(value)
    return 30 if isinstance(value, int | float | None | Name) else 600


def _kind(value: Any) -> str:
    return value.name if isinstance(value, Name) else type(value).__name__


INTEGERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4")
FLOATS = ("FLOAT", "BINFLOAT")
TEXT = ("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE")
BYTES = ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8")
LITERALS = frozenset((*INTEGERS, *FLOATS, *TEXT, "BINUNICODE8", *BYTES))

HANDLERS: dict[str, Callable[[_Machine, Any], object]] = {
    "PROTO": lambda machine, argument: None,
    "FRAME": lambda machine, argument: None,
    "NONE": lambda machine, argument: machine.push(None),
    "NEWTRUE": lambda machine, argument: machine.push(True),
    "NEWFALSE": lambda machine, argument: machine.push(False),
    "EMPTY_LIST": lambda machine, argument: machine.make([]),
    "EMPTY_DICT": lambda machine, argument: machine.make({}),
    "EMPTY_SET": lambda machine, argument: machine.make(set()),
    "EMPTY_TUPLE": lambda machine, argument: machine.push(()),
    "LIST": lambda machine, argument: machine.make(machine.pop_mark()),
    "TUPLE": lambda machine, argument: machine.make(tuple(machine.pop_mark())),
    "DICT": lambda machine, argument: machine.make(_pairs(machine.pop_mark())),
    "FROZENSET": lambda machine, argument: machine.make(set(map(checked_key, machine.pop_mark()))),
    "TUPLE1": lambda machine, argument: machine.tuple_of(1),
    "TUPLE2": lambda machine, argument: machine.tuple_of(2),
    "TUPLE3": lambda machine, argument: machine.tuple_of(3),
    "MARK": _Machine.mark,
    "POP": _Machine.discard,
    "POP_MARK": lambda machine, argument: machine.pop_mark(),
    "DUP": _Machine.duplicate,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.extend,
    "ADDITEMS": _Machine.add,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "PUT": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": lambda machine, argument: machine.put(len(machine.memo)),
    "GET": _Machine.get,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.stack_name,
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.persistent,
}
