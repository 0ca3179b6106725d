"""Everything that can be compared, one line each. A new graph or precision is a new line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dt_export.bench.side import Setting, Side
from dt_export.errors import UsageError


@dataclass(frozen=True)
class Entry:
    """A side by name, before it is made.

    ``maker`` is a function of ``eager`` or ``naive``; without one the side is our ONNX export of
    ``graph`` in ``precision``, with ``slots`` if it is a step.
    """

    key: str  # for the command line
    title: str  # for people
    maker: str | None = None
    graph: str = "policy"
    precision: str = "fp32"
    slots: int | None = None


CATALOGUE = (
    Entry("transformers", "transformers eager", "eager.transformers"),
    Entry("eager", "our eager", "eager.ours"),
    Entry("compile", "our eager, torch.compile", "eager.ours_compiled"),
    Entry("compile-policy", "policy graph, torch.compile", "eager.policy_compiled"),
    Entry("torchscript", "policy graph, TorchScript", "eager.torchscript"),
    Entry("naive", "naive export, ONNX Runtime", "naive.naive"),
    Entry("policy", "policy"),
    Entry("policy-fp16", "policy fp16", precision="fp16"),
    Entry("policy-int8", "policy int8", precision="int8"),
    Entry("step", "step, 1 slot", graph="step", slots=1),
    Entry("step-2", "step, 2 slots", graph="step", slots=2),
    Entry("step-4", "step, 4 slots", graph="step", slots=4),
    Entry("step-int8", "step int8, 1 slot", graph="step", precision="int8", slots=1),
    Entry("step-int8-4", "step int8, 4 slots", graph="step", precision="int8", slots=4),
)
BASELINES = ("transformers", "eager")  # what others are compared with: the first that is there
SWEPT = ("transformers", "naive", "policy", "step")


def chosen(keys: Sequence[str] | None) -> tuple[Entry, ...]:
    """Entries by key, in the catalogue's order; all of them without keys.

    Raises:
        UsageError: no side of that name, or no name at all.
    """
    if keys is None:
        return CATALOGUE
    known = [entry.key for entry in CATALOGUE]
    for key in keys:
        if key not in known:
            raise UsageError(f"--sides has {key!r}, expected some of {', '.join(known)}")
    if not keys:
        raise UsageError(f"--sides names no side, expected some of {', '.join(known)}")
    return tuple(entry for entry in CATALOGUE if entry.key in keys)


def make(entry: Entry, setting: Setting) -> Side:
    """The side of an entry, ready to step.

    Raises:
        UsageError: it cannot be had; the message says why.
    """
    from dt_export.bench import artifacts, eager, naive

    if entry.maker is None:
        return artifacts.exported(setting, entry.graph, entry.precision, entry.slots)
    module, function = entry.maker.split(".")
    return getattr({"eager": eager, "naive": naive}[module], function)(setting)


def reason(error: Exception) -> str:
    """Why a side cannot be had, in one line."""
    lines = str(error).strip().splitlines() or [""]
    text = lines[0] if isinstance(error, UsageError) else f"{type(error).__name__}: {lines[0]}"
    return text if len(text) <= 200 else text[:197] + "..."
