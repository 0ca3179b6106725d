"""What a failed validation points at: a likely cause, where to look, and what to do next.

A fault in an export leaves a pattern in the cases. A padding mask that is missing shows with
padding alone, and a cache that is never cleared shows after a reset. Nothing here looks into the
artifact; it only reads the report.

A part of the cases shows a fault where its errors on the whole, as a root mean square, are beyond
the model's own rounding on the same inputs. Single errors would be too uncertain: the smallest
windows have few numbers.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dt_export.graphs.rollouts import PastError
from dt_export.graphs.trials import Case
from dt_export.validation.levels import FLOOR_MEAN, MEAN, Comparison, root_mean_square
from dt_export.validation.report import Report

FaultKind = Literal[
    "contract", "precision", "shape", "numbers", "attention", "early", "late", "padding",
    "episode end", "extreme", "past", "restart", "slots", "rows", "outputs", "factor",
]  # fmt: skip
QUIET = 2.0  # times the rounding: what good artifacts stay below, as a root mean square
FAINT = 0.05  # of the errors elsewhere: what next to them shows no fault


@dataclass(frozen=True)
class Fault:
    """A likely cause; ``message`` also says where to look or what to do next."""

    kind: FaultKind
    message: str


def diagnose(report: Report) -> tuple[str, ...]:
    """What the failures of a report point at, in sentences; none if it has no failures."""
    return tuple(fault.message for fault in faults(report))


def faults(report: Report) -> tuple[Fault, ...]:
    """The same with the kind of each fault, the most certain one first."""
    found = [*_contract(report)]
    broken = [c for c in report.failures if c.problem is not None]
    if broken:
        found.append(_broken(report, broken))
    elif report.failures or report.drifts:
        found += _wrong(report)
    return tuple(found)


def _contract(report: Report) -> Iterator[Fault]:
    for difference in report.differences:
        fact = difference.split(":")[0]
        if fact == "precision":
            yield Fault("precision", f"{difference}: export it again in the precision you want")
        else:
            hint = _FACTS.get(fact, "export the file again from this checkpoint")
            yield Fault("contract", f"the contract is wrong in {difference}: {hint}")


_STATISTICS = "observations would be normalised with other statistics; check --stats"
_FACTS = {
    "source sha256": "the file was made from other weights; pass the --model that it was made from",
    "context_length": "windows would have another length; check --context-length",
    "return_scale": "returns would be scaled by another number; check --return-scale",
    "state mean": _STATISTICS,
    "state std": _STATISTICS,
    "target returns": "the policy would ask for another return by default; pass --target-return",
}


def _broken(report: Report, broken: Sequence[Comparison]) -> Fault:
    """The engine fails, or an output has another shape: at which sizes?"""
    said = broken[0].problem or ""
    if all((c.problem or "").startswith(PastError.__name__) for c in broken):
        return Fault(
            "past",
            f"the policy keeps another past than it should ({said}): look at its schedule of "
            "slots, its count of steps, its rewards and its reset",
        )
    bad = {c.case for c in broken}
    good = {c.case for c in report.comparisons} - bad
    batches, lengths = {c.batch for c in good}, {c.length for c in good}
    where = "trace it with free axes, and never call int() on a size"
    if len(batches) == 1 and {c.batch for c in bad} - batches:
        what = f"only B = {batches.pop()} works: the batch size is baked into the graph"
    elif len(lengths) == 1 and {c.length for c in bad} - lengths:
        what = f"only T = {lengths.pop()} works: the window length is baked into the graph"
    elif not good:
        what = "no inputs work: a size is baked into the graph, or its tensors are out of order"
        where = "compare its inputs and outputs with the contract"
    else:
        first = min(bad, key=lambda c: (c.batch, c.length))
        what = f"some sizes work and others do not, such as B = {first.batch}, T = {first.length}"
    return Fault("shape", f"{what} ({said}); {where}")


Part = Callable[[Case], bool]


class _Cases:
    """The comparisons of some outputs, and how far parts of them are beyond rounding."""

    def __init__(self, comparisons: Iterable[Comparison]):
        self.all = tuple(comparisons)
        self.ordinary = tuple(c for c in self.all if c.case.kind == "random")
        lengths = {c.case.length for c in self.ordinary}
        apart = [_off(c for c in self.ordinary if c.case.length == length) for length in lengths]
        self.loudest = max([_off(self.all), *apart], default=0.0)

    def quiet(self, part: Part) -> bool:
        """Whether the fault does not show in any usual case of a part that there is."""
        mine = [c for c in self.ordinary if part(c.case)]
        return bool(mine) and _off(mine) <= max(QUIET, FAINT * min(self.loudest, 1e30))

    def only_in(self, part: Part) -> bool:
        """Whether the fault shows in this part of the usual cases and nowhere else."""
        return self.quiet(lambda case: not part(case)) and not self.quiet(part)

    def lengths(self) -> dict[int, bool]:
        """By length of window: whether it shows the fault."""
        known = sorted({c.case.length for c in self.ordinary})
        return {n: not self.quiet(lambda case, n=n: case.length == n) for n in known}  # type: ignore[misc]


def _off(comparisons: Iterable[Comparison]) -> float:
    """The root mean square of errors, in units of that of the rounding."""
    some = tuple(comparisons)
    error = root_mean_square((c.rms, c.count) for c in some)
    rounding = root_mean_square((c.rounding_rms, c.count) for c in some)
    return error / max(rounding, FLOOR_MEAN / MEAN)


def _wrong(report: Report) -> Iterator[Fault]:
    """Wrong numbers: in which outputs, and where do they begin?"""
    failed = {c.output for c in report.failures} | {d.output for d in report.drifts}
    every = {c.output for c in report.comparisons}
    if failed < every:
        right = ", ".join(sorted(every - failed))
        yield Fault(
            "outputs",
            f"{', '.join(sorted(failed))} differ, and {right} are right: look at what only the "
            "former depend on, such as their head",
        )
    wrong = [c for c in report.failures if c.output in failed]
    fault = _where(_Cases(c for c in report.comparisons if c.output in failed), wrong, report)
    finite = all(np.isfinite(c.error) for c in wrong)
    note = "" if finite else "; some numbers are not finite"
    yield Fault(fault.kind, fault.message + note)


def _where(cases: _Cases, wrong: Sequence[Comparison], report: Report) -> Fault:
    if cases.quiet(lambda case: True):
        if wrong and all(c.case.kind == "late" for c in wrong):
            return Fault(
                "episode end",
                "only the last timesteps of the longest episode differ: look at the end of the "
                "timestep table, max_ep_len and first_timestep",
            )
        half = f" in {report.precision}" if report.precision != "fp32" else ""
        return Fault(
            "extreme",
            f"only extreme inputs differ: look at clipping, bounds and overflow{half}",
        )
    for kind, part, message in _PARTS:
        if cases.only_in(part):
            return Fault(kind, message)
    lengths = cases.lengths()
    shown = [length for length, shows in lengths.items() if shows]
    right = [length for length, shows in lengths.items() if not shows]
    if shown and right and right[0] == 1 and right[-1] < shown[0]:
        if right == [1]:
            return Fault(
                "attention",
                "windows of one timestep are right and longer ones differ: look at what earlier "
                "timesteps add, which is past actions, attention, masks and positions",
            )
        return Fault(
            "late",
            f"windows up to {right[-1]} timesteps are right and longer ones differ: look for "
            "windows that are cut, positions that end, and caches that are too short",
        )
    if shown and right and shown[-1] < right[0]:
        return Fault(
            "early",
            f"windows up to {shown[-1]} timesteps differ and longer ones are right: look at how "
            "an episode begins, and at padding that the graph adds itself",
        )
    factor = _factor(wrong)
    if factor is not None:
        return Fault(
            "factor",
            f"every output is {factor:.6g} times what is expected: look at the action scale, the "
            "units and the last linear map",
        )
    return Fault(
        "numbers",
        "even windows of one timestep differ: look at the statistics, the return scale, the "
        "embeddings, the timesteps, LayerNorm, the activations and the head",
    )


_PARTS: tuple[tuple[FaultKind, Part, str], ...] = (
    (
        "padding",
        lambda case: case.padding > 0,
        "only windows with padding differ: look at the attention mask",
    ),
    (
        "restart",
        lambda case: case.resets,
        "only rollouts with new episodes in between differ: look at what a reset clears, and at "
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
        lambda case: case.full or (case.slots > 0 and case.batch > 1),
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
