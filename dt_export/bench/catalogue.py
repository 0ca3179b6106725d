"""Everything that can be compared, one line each. A new graph or precision is a new line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dt_export.bench import artifacts, compiled, eager, naive, wasm
from dt_export.bench.candidate import Candidate, Setting
from dt_export.errors import UsageError

Make = Callable[[Setting], Candidate]


@dataclass(frozen=True)
class Entry:
    """A candidate by name, before it is made.

    ``make`` raises UsageError where the candidate is not available; the message says why.
    """

    key: str  # for the command line
    title: str  # for people
    make: Make
    precision: str = "fp32"
    slots: int | None = None  # of a step graph; None for whole windows


def _export(
    key: str, title: str, graph: str, precision: str = "fp32", slots: int | None = None
) -> Entry:
    """Our own ONNX export of a graph, run by ``dt_runtime``."""

    def make(setting: Setting) -> Candidate:
        return artifacts.exported(setting, graph, precision, slots)

    return Entry(key, title, make, precision, slots)


def _compiled(
    key: str, title: str, precision: str = "fp32", slots: int = 1, bits: int | None = None
) -> Entry:
    """Our own C file, compiled here for this processor."""

    def make(setting: Setting) -> Candidate:
        return compiled.exported(setting, precision, slots, bits)

    return Entry(key, title, make, precision, slots)


def _webassembly(key: str, title: str, precision: str = "fp32", bits: int | None = None) -> Entry:
    """The same C file in Node.js."""

    def make(setting: Setting) -> Candidate:
        return wasm.exported(setting, precision, 1, bits)

    return Entry(key, title, make, precision, 1)


CATALOGUE = (
    Entry("transformers", "transformers eager", eager.transformers),
    Entry("eager", "our eager", eager.ours),
    Entry("compile", "our eager, torch.compile", eager.ours_compiled),
    Entry("compile-policy", "policy graph, torch.compile", eager.policy_compiled),
    Entry("torchscript", "policy graph, TorchScript", eager.torchscript),
    Entry("naive", "naive export, ONNX Runtime", naive.naive),
    _export("policy", "policy", "policy"),
    _export("policy-fp16", "policy fp16", "policy", "fp16"),
    _export("policy-int8", "policy int8", "policy", "int8"),
    _export("step", "step, 1 slot", "step", slots=1),
    _export("step-2", "step, 2 slots", "step", slots=2),
    _export("step-4", "step, 4 slots", "step", slots=4),
    _export("step-int8", "step int8, 1 slot", "step", "int8", slots=1),
    _export("step-int8-4", "step int8, 4 slots", "step", "int8", slots=4),
    _compiled("c", "C, 1 slot"),
    _compiled("c-4", "C, 4 slots", slots=4),
    _compiled("c-bf16", "C bf16, 1 slot", "bf16"),
    _compiled("c-int8", "C int8, 1 slot", "int8", bits=8),
    _compiled("c-int8-4", "C int8, 4 slots", "int8", 4, bits=8),
    _compiled("c-int8-16", "C int8, 16-bit activations, 1 slot", "int8", bits=16),
    _webassembly("wasm", "WebAssembly, 1 slot"),
    _webassembly("wasm-int8", "WebAssembly int8, 1 slot", "int8", 8),
    _webassembly("wasm-int8-16", "WebAssembly int8, 16-bit activations, 1 slot", "int8", 16),
)
BASELINES = ("transformers", "eager")  # others are compared with the first that was measured
SWEPT = ("transformers", "naive", "policy", "step")


def chosen(keys: Sequence[str] | None) -> tuple[Entry, ...]:
    """Entries by key, in the catalogue's order; all of them without keys.

    Raises:
        UsageError: a key that is not in the catalogue, or no key at all.
    """
    if keys is None:
        return CATALOGUE
    known = [entry.key for entry in CATALOGUE]
    for key in keys:
        if key not in known:
            raise UsageError(f"--sides has {key!r}, expected some of {', '.join(known)}")
    if not keys:
        raise UsageError(f"--sides is empty, expected some of {', '.join(known)}")
    return tuple(entry for entry in CATALOGUE if entry.key in keys)
