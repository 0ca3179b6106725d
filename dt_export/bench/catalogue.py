"""Everything that can be compared, one line each. A new graph or precision is a new line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dt_export.bench import artifacts, compiled, eager, emx, naive, wasm
from dt_export.bench.candidate import Candidate, Setting
from dt_export.bench.machine import instructions
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
    usual: bool = True  # measured without being asked for


def _export(
    key: str, title: str, graph: str, precision: str = "fp32", slots: int | None = None
) -> Entry:
    """Our own ONNX export of a graph, run by ``dt_runtime``."""

    def make(setting: Setting) -> Candidate:
        return artifacts.exported(setting, graph, precision, slots)

    return Entry(key, title, make, precision, slots)


# What a compiler is told of an older processor, and what the processor must have to run that.
AVX2 = ("-march=x86-64-v3", "-mno-fma"), ("avx2",)
AVX2_FMA = ("-march=x86-64-v3",), ("avx2", "fma")
AVX512 = ("-march=x86-64-v4",), ("avx512f", "avx512bw", "avx512vl", "avx512dq")
SSE2 = ("-march=x86-64",), ("sse2",)
HERE: tuple[tuple[str, ...], tuple[str, ...]] = (), ()


def _compiled(
    key: str,
    title: str,
    precision: str = "fp32",
    slots: int = 1,
    bits: int | None = None,
    processor: tuple[tuple[str, ...], tuple[str, ...]] = HERE,
) -> Entry:
    """Our own C file, compiled for this processor or an older one."""
    flags, needed = processor

    def make(setting: Setting) -> Candidate:
        missing = [name for name in needed if name not in instructions()]
        if missing:
            raise UsageError(f"this processor has no {missing[0]}")
        return compiled.exported(setting, precision, slots, bits, flags)

    return Entry(key, title, make, precision, slots, usual=not flags)


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
    _compiled("c-avx512", "C for AVX-512, 1 slot", processor=AVX512),
    _compiled("c-avx2-fma", "C for AVX2 with FMA, 1 slot", processor=AVX2_FMA),
    _compiled("c-avx2", "C for AVX2 alone, 1 slot", processor=AVX2),
    _compiled("c-sse2", "C for SSE2, 1 slot", processor=SSE2),
    _compiled("c-int8-16-avx512", "C int8, 16-bit, AVX-512", "int8", bits=16, processor=AVX512),
    _compiled("c-int8-16-avx2", "C int8, 16-bit, AVX2", "int8", bits=16, processor=AVX2),
    Entry("emx", "emx-onnx-cgen, 4 slots", emx.generated, slots=4, usual=False),
)
BASELINES = ("transformers", "eager")  # others are compared with the first that was measured
SWEPT = ("transformers", "naive", "policy", "step", "c", "c-int8")


def chosen(keys: Sequence[str] | None) -> tuple[Entry, ...]:
    """Entries by key, in the catalogue's order; the usual ones without keys.

    Raises:
        UsageError: a key that is not in the catalogue, or no key at all.
    """
    if keys is None:
        return tuple(entry for entry in CATALOGUE if entry.usual)
    known = [entry.key for entry in CATALOGUE]
    for key in keys:
        if key not in known:
            raise UsageError(f"--sides has {key!r}, expected some of {', '.join(known)}")
    if not keys:
        raise UsageError(f"--sides is empty, expected some of {', '.join(known)}")
    return tuple(entry for entry in CATALOGUE if entry.key in keys)
