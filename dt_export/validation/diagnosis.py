"""What a failed validation points at: a likely cause, where to look, and what to do next.

A fault in an export leaves a pattern in the cases that fail. A padding mask that is missing shows
with padding alone, and a cache that is never cleared shows after a reset. Nothing here looks into
the artifact; it only reads the report.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dt_export.graphs.rollouts import PastError
from dt_export.graphs.trials import Case
from dt_export.validation.report import Comparison, Report

FaultKind = Literal[
    "contract", "precision", "shape", "numbers", "attention", "early", "late", "padding",
    "episode end", "extreme", "past", "restart", "slots", "rows", "outputs", "factor",
]  # fmt: skip
CLEAR = 0.05  # of the worst error: a case below it does not show the fault


@dataclass(frozen=True)
class Fault:
    """A likely cause; ``message`` also says where to look and what to do next."""

    kind: FaultKind
    message: str


def diagnose(report: Report) -> tuple[str, ...]:
    """What the failures of a report point at, in sentences; none if it has no failures."""
    return tuple(fault.message for fault in faults(report))


def faults(report: Report) -> tuple[Fault, ...]:
    """The same with the kind of each fault, the most certain one first."""
    found = [*_contract(report)]
    failed = report.failures
    broken = [c for c in failed if c.problem is not None]
    if broken:
        found.append(_shape(report, broken))
    wrong = [c for c in failed if c.problem is None]
    if wrong and not broken:
        found += _numbers(report, wrong)
    return tuple(found)


def _contract(report: Report) -> Iterable[Fault]:
    for difference in report.differences:
        fact = difference.split(":")[0]
        if fact == "precision":
            yield Fault("precision", f"{difference}. Export it again in the precision you want")
        else:
            hint = _FACTS.get(fact, "Export the file again from this checkpoint")
            yield Fault("contract", f"the contract is wrong in {difference}. {hint}")


_FACTS = {
    "source sha256": "The file was made from other weights: pass the --model it was made from, "
    "or export it again",
    "context_length": "The runtime would keep windows of another length: check --context-length",
    "return_scale": "Check --return-scale",
    "state mean": "Observations are normalised with other statistics: check --stats",
    "state std": "Observations are normalised with other statistics: check --stats",
}


def _shape(report: Report, broken: Sequence[Comparison]) -> Fault:
    """Engine errors and wrong shapes: which sizes work?"""
    said = broken[0].problem
    if all((c.problem or "").startswith(PastError.__name__) for c in broken):
        return Fault(
            "past",
            f"the policy keeps another past than it should ({said}): look at its schedule of slots, "
            "its count of steps, its rewards and its reset",
        )
    bad = {c.case for c in broken}
    good = {c.case for c in report.comparisons} - bad
    batches, lengths = {c.batch for c in good}, {c.length for c in good}
    if len(batches) == 1 and {c.batch for c in bad} - batches:
        (batch,) = batches
        what = f"only B = {batch} works: the batch size is probably baked into the graph"
    elif len(lengths) == 1 and {c.length for c in bad} - lengths:
        (length,) = lengths
        what = f"only T = {length} works: the window length is probably baked into the graph"
    elif not good:
        what = "no input works: compare the graph's inputs and outputs with the contract"
    else:
        first = min(bad, key=lambda c: (c.batch, c.length))
        what = f"the file runs at some sizes and not at others, such as {first}"
    return Fault(
        "shape", f"{what} ({said}). Trace it with free axes, and without int(...) of a size"
    )


def _numbers(report: Report, wrong: Sequence[Comparison]) -> Iterable[Fault]:
    """Wrong numbers: where do they begin?"""
    shows = _shows(report, wrong)
    outputs = {c.output for c in wrong}
    every = {c.output for c in report.comparisons}
    if 0 < len(outputs) < len(every):
        names = ", ".join(sorted(outputs))
        yield Fault(
            "outputs", f"only {names} differ, and other outputs are right: look at that head"
        )
    yield _where(report, wrong, shows)


def _shows(report: Report, wrong: Sequence[Comparison]) -> Callable[[Comparison], bool]:
    """Whether a comparison shows the fault. One that merely stays below the bound does too."""
    ids = {id(c) for c in wrong}
    worst: dict[str, float] = {}
    for c in wrong:
        if np.isfinite(c.error):
            worst[c.output] = max(worst.get(c.output, 0.0), c.error)
    return lambda c: id(c) in ids or c.error > CLEAR * worst.get(c.output, np.inf)


def _where(
    report: Report, wrong: Sequence[Comparison], shows: Callable[[Comparison], bool]
) -> Fault:
    outputs = {c.output for c in wrong}
    seen = [c for c in report.comparisons if c.output in outputs]
    ordinary = [c for c in seen if c.case.kind == "random"]
    shown = [c for c in ordinary if shows(c)]
    finite = all(np.isfinite(c.error) for c in wrong)
    nan = "" if finite else " Some numbers are not finite."
    if not shown:
        kinds = {c.case.kind for c in wrong}
        if kinds == {"late"}:
            return Fault(
                "episode end",
                "only the last timesteps of the longest episode differ: look at the end of the "
                f"timestep table, max_ep_len and first_timestep.{nan}",
            )
        return Fault(
            "extreme",
            "only extreme inputs differ: look at clipping, bounds, and numbers that overflow"
            f"{' in ' + report.precision if report.precision != 'fp32' else ''}.{nan}",
        )
    hidden = [c for c in ordinary if not shows(c)]
    for kind, part, message in _PARTS:
        inside, outside = [c for c in shown if part(c.case)], [c for c in shown if not part(c.case)]
        if inside and not outside and any(not part(c.case) for c in hidden):
            return Fault(kind, f"{message}.{nan}")
    lengths = sorted({c.case.length for c in shown})
    right = sorted({c.case.length for c in hidden} - set(lengths))
    shortest = min(c.case.length for c in ordinary)
    if lengths[0] > shortest:
        if lengths[0] == shortest + 1 and shortest == 1:
            return Fault(
                "attention",
                "a window of one timestep is right and longer ones differ: look at what earlier "
                f"timesteps add, which is past actions, attention, masks and positions.{nan}",
            )
        return Fault(
            "late",
            f"windows up to {right[-1] if right else shortest} timesteps are right and longer ones "
            f"differ, from T = {lengths[0]}: look at truncated windows, positions and caches that "
            f"are too short.{nan}",
        )
    if right and lengths[-1] < right[0]:
        return Fault(
            "early",
            f"windows up to {lengths[-1]} timesteps differ and longer ones are right: look at "
            f"padding that the graph adds itself, and at how an episode begins.{nan}",
        )
    factor = _factor(wrong)
    if factor is not None:
        return Fault(
            "factor",
            f"every output is {factor:.6g} times the expected one: look at action_scale, units and "
            "the last linear map",
        )
    return Fault(
        "numbers",
        f"already the first timestep of a window differs: look at statistics, return scale, "
        f"embeddings, timesteps, LayerNorm, activations and the head.{nan}",
    )


Part = Callable[[Case], bool]
_PARTS: tuple[tuple[FaultKind, Part, str], ...] = (
    (
        "padding",
        lambda case: case.padding > 0,
        "only windows with padding differ: look at the attention mask",
    ),
    (
        "restart",
        lambda case: case.resets,
        "only rollouts in which rows begin new episodes differ: look at what a reset clears, and at "
        "what hides the tokens of the episode before",
    ),
    (
        "slots",
        lambda case: case.full and case.slots > 1,
        "only several slots differ, and only after the first K timesteps of an episode: look at "
        "which slot answers, and at what a slot still sees when it begins again",
    ),
    (
        "slots",
        lambda case: case.full,
        "only timesteps after the first K of an episode differ: look at where new tokens overwrite "
        "old ones, and at what a slot still sees when it begins again",
    ),
    (
        "rows",
        lambda case: case.batch > 1,
        "one row alone is right and several rows differ: look for rows that see each other, or "
        "that come out in another order",
    ),
    (
        "slots",
        lambda case: case.slots > 0 and (case.full or case.batch > 1),
        "the first K timesteps of one row are right, and later timesteps and other rows differ: "
        "look at which cache a token is written to, and at which slot answers",
    ),
)


def _factor(wrong: Sequence[Comparison]) -> float | None:
    """The factor by which all values are off, if there is one."""
    pairs = [(c.seen, c.expected) for c in wrong if abs(c.expected) > 1e-6 and np.isfinite(c.seen)]
    if len(pairs) < 10 or len(pairs) < len(wrong):
        return None
    ratios = np.array([seen / expected for seen, expected in pairs])
    middle = float(np.median(ratios))
    off = abs(middle - 1)
    return middle if off > 1e-4 and np.ptp(ratios) < 0.02 * off else None
