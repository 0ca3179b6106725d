"""A compiled policy: a shared library made of a ``.c`` file of dt-export's, and its contract."""

import ctypes
import mmap
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dt_runtime.contract import Contract, ContractError
from dt_runtime.errors import ArgumentError
from dt_runtime.inputs import shown
from dt_runtime.schema import MAX_TEXT
from dt_runtime.slots import fixed_slots

MAGIC = b"dt_export contract\n"  # the contract follows, and a 0 byte
SUFFIXES = (".so", ".dylib", ".dll")
PREFIX = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")  # of C's names
ALIGNMENT = 64  # of a context and of weights: a cache line, the widest vector
MOST_BYTES = 2**32  # of one context
WEIGHTS = ".bin"  # what a library's weights are called, beside it

OK = 0
FAULTS = (
    "OK", "NOT_RESET", "BAD_TARGET", "BAD_OBSERVATION", "BAD_REWARD", "BAD_APPLIED_ACTION",
    "BAD_OUTPUT", "BAD_TEMPERATURE", "BAD_RANDOM", "BAD_WEIGHTS",
)  # fmt: skip

_ELF = b"\x7fELF"


def is_library(path: str | Path) -> bool:
    """Whether a path is that of a shared library, by its suffix."""
    return Path(path).suffix.lower() in SUFFIXES


def check_provider(provider: str) -> None:
    """Refuse what only an engine has.

    Raises:
        ValueError: the provider is neither ``cpu`` nor ``auto``.
    """
    if provider not in ("cpu", "auto"):
        raise ArgumentError(
            f"provider is {shown(provider)}, and a compiled policy runs on the CPU: pass "
            "provider='cpu', or export to ONNX"
        )


class Library:
    """A shared library with one compiled policy. Several policies and threads may share it.

    Opening a library runs its code, as importing a module does: open only what you trust.
    ``read_contract`` runs nothing.

    Args:
        path: a ``.so``, ``.dylib`` or ``.dll`` that was compiled from a file of ``dt-export c``.
        weights: where its weights are, if they were written to a file of their own. By default
            beside the library, under the name that its contract gives.

    Raises:
        FileNotFoundError: no such file.
        ContractError: it has no contract of ours, it was compiled for another machine, it is
            damaged, or its weights are missing or are those of another policy.
    """

    provider = "cpu"

    def __init__(self, path: str | Path, weights: str | Path | None = None):
        self.path = Path(path)
        self.contract: Contract = read_contract(self.path)
        self.prefix: str = self.contract.producer["prefix"]
        beside = weights_beside(self.path, self.contract)
        self._weights_path = beside if weights is None else Path(weights)
        self.slots: int = fixed_slots(self.contract) or 1
        self._library = _load(self.path)
        pointer, number = ctypes.c_void_p, ctypes.c_int
        text = self.function("contract", ctypes.c_char_p)()
        if text is None or text.decode("utf-8", "replace") != _text(self.path):
            raise ContractError(
                f"{self.path}: the contract in the file is not the one in memory, which is that of "
                "an earlier build of the same file: start a new process"
            )
        self.bytes: int = self.function("policy_size", ctypes.c_size_t)()
        # Putting back so many of them undoes a step.
        self.past_bytes: int = self.function("past_size", ctypes.c_size_t)()
        if not 0 < self.past_bytes <= self.bytes <= MOST_BYTES:
            raise ContractError(f"{self.path}: a context of {self.bytes} bytes; compile it again")
        self.stride = -(-self.bytes // ALIGNMENT) * ALIGNMENT  # of contexts that lie side by side
        self.reset = self.function("reset", number, pointer, ctypes.c_double)
        self.timestep = self.function("timestep", ctypes.c_int32, pointer)
        self.window = self.function("window", None, pointer, pointer, pointer)
        self.return_to_go = self.function("return_to_go", ctypes.c_double, pointer)
        # These are called at every step, with objects of ctypes, which need no conversion.
        self.act, self.act_applied = (
            self.function("act", number),
            self.function("act_applied", number),
        )
        if self.contract.action.kind == "discrete":
            self.draw = self.function("draw", number)
            self.logits = self.function("logits", pointer, pointer)
        self._weights = self._read_weights()

    def function(self, name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
        """The library's function of that name, to which the prefix is added.

        Without arguments named here, it takes only objects of ctypes.

        Raises:
            ContractError: there is none.
        """
        try:
            found: Any = self._library[f"{self.prefix}_{name}"]
        except AttributeError:
            raise ContractError(
                f"{self.path} has no function {self.prefix}_{name}: compile it again, with all "
                "functions of its header visible"
            ) from None
        found.restype = result
        if arguments:
            found.argtypes = arguments
        call: Callable[..., Any] = found
        return call

    def contexts(self, rows: int) -> np.ndarray:
        """Memory for so many contexts, [rows, stride] bytes: ready for their first reset."""
        made = aligned(rows * self.stride).reshape(rows, self.stride)
        if self._weights is not None:
            size = ctypes.c_size_t(self._weights.size)
            for context in made:
                self._open(
                    ctypes.c_void_p(context.ctypes.data),
                    ctypes.c_void_p(self._weights.ctypes.data),
                    size,
                )
        return made

    def _read_weights(self) -> np.ndarray | None:
        """The weights in the file beside the library, if it was compiled without them.

        Raises:
            ContractError: there is no such file, or it holds other weights.
        """
        name = f"{self.prefix}_open"
        if not hasattr(self._library, name):
            return None
        self._open = self.function("open", ctypes.c_int)
        path = self._weights_path
        try:
            content = np.fromfile(path, np.uint8)
        except OSError:
            raise ContractError(
                f"{self.path} was compiled without its weights, and {path} cannot be read: put the "
                "weights that dt-export wrote there"
            ) from None
        weights = aligned(content.size)
        weights[:] = content
        pointer, size = ctypes.c_void_p(weights.ctypes.data), ctypes.c_size_t(weights.size)
        context = aligned(self.stride)
        if self._open(ctypes.c_void_p(context.ctypes.data), pointer, size) != OK:
            raise ContractError(f"{path} does not hold the weights of {self.path}; export again")
        return weights


def aligned(size: int) -> np.ndarray:
    """Zeros, [size] bytes, that begin at a multiple of ``ALIGNMENT``."""
    made = np.zeros(size + ALIGNMENT, np.uint8)
    begin = -made.ctypes.data % ALIGNMENT
    return made[begin : begin + size]


def read_contract(path: Path) -> Contract:
    """The contract in a shared library, of which nothing is loaded.

    Raises:
        FileNotFoundError: no such file.
        ContractError: no contract, an invalid one, or one of no compiled policy.
    """
    try:
        contract = Contract.from_json(_text(path))
    except ContractError as error:
        raise ContractError(error.args[0] if _names(path, error) else f"{path}: {error}") from None
    check_compiled(contract, path)
    return contract


def check_compiled(contract: Contract, path: Path) -> None:
    """Whether a contract is that of a compiled policy.

    Raises:
        ContractError: it is another target's, or its parts do not agree.
    """
    prefix = contract.producer.get("prefix")
    if contract.graph != "step" or contract.batch_size != 1 or fixed_slots(contract) is None:
        raise ContractError(f"{path}: its contract is not that of a compiled policy; export again")
    if not isinstance(prefix, str) or PREFIX.fullmatch(prefix) is None:
        raise ContractError(f"{path}: its contract names no prefix of C's names; export it again")
    weights = contract.producer.get("weights", "x")
    if not isinstance(weights, str) or Path(weights).name != weights or "\\" in weights:
        raise ContractError(f"{path}: its contract names no file for its weights; export it again")
    if contract.inputs[0].dtype != "float32":
        raise ContractError(f"{path}: compiled policies take no frames of uint8; export it again")


def weights_beside(path: Path, contract: Contract) -> Path:
    """Where the weights are, if they are not in the file itself: beside it.

    Its contract names them; without a name they have the file's, and the suffix ``.bin``.
    """
    name: str | None = contract.producer.get("weights")
    return path.with_suffix(WEIGHTS) if name is None else path.with_name(name)


def _names(path: Path, error: Exception) -> bool:
    return str(path) in str(error)


def _text(path: Path) -> str:
    """The contract's JSON, found by its magic.

    Raises:
        FileNotFoundError: no such file.
        ContractError: there is none, or more than one.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    documents: set[bytes] = set()
    with path.open("rb") as file:
        try:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # of an empty file
            raise ContractError(f"{path} is empty; compile it again") from None
        with content:
            at = content.find(MAGIC)
            while at >= 0:
                begin = at + len(MAGIC)
                end = content.find(b"\0", begin, begin + 4 * MAX_TEXT)
                # The magic alone is what a program that looks for contracts has in it.
                if end > begin and content[begin : begin + 1] == b"{":
                    documents.add(content[begin:end])
                at = content.find(MAGIC, begin)
            _check_whole(path, content)
    if len(documents) != 1:
        what = "without dt-export's contract" if not documents else "with more than one contract"
        raise ContractError(
            f"{path} is a library {what}; compile the file that `dt-export c` writes"
        )
    try:
        return documents.pop().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ContractError(f"{path}: the contract is not text: {error}") from None


def _check_whole(path: Path, content: mmap.mmap) -> None:
    """Whether an ELF file is all there: loading one that ends early would crash the process.

    Raises:
        ContractError: it is not.
    """
    head = content[:64]
    if not head.startswith(_ELF) or len(head) < 64:
        return
    order = ">" if head[5] == 2 else "<"
    if head[4] == 2:  # of 64 bits: where its table of sections begins, their size and number
        (begin,) = struct.unpack_from(f"{order}Q", head, 40)
        size, count = struct.unpack_from(f"{order}HH", head, 58)
    else:
        (begin,) = struct.unpack_from(f"{order}I", head, 32)
        size, count = struct.unpack_from(f"{order}HH", head, 46)
    if begin + size * count > len(content):
        raise ContractError(f"{path} ends early: the file is incomplete; compile it again")


def _load(path: Path) -> Any:
    try:
        return ctypes.CDLL(str(path.absolute()))
    except OSError as error:
        reason = str(error).removeprefix(f"{path.absolute()}: ")
        raise ContractError(
            f"{path}: this machine cannot load the library: {reason}; compile its .c file here"
        ) from None
