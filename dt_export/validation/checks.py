"""A report as a list of checks, each with a verdict: what CI and a person's summary show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal

from dt_export.validation.closed_loop import BASELINES
from dt_export.validation.levels import Comparison
from dt_export.validation.report import Report

if TYPE_CHECKING:
    from dt_export.validation.closed_loop import ClosedLoop, Outcome, Pair

Verdict = Literal["passed", "failed", "undecided", "skipped"]
AREAS = ("contract", "open loop", "golden", "trace", "closed loop")


@dataclass(frozen=True)
class Check:
    """One check. ``message`` is one line; ``detail`` says more, and may have several."""

    area: str
    name: str
    verdict: Verdict
    message: str
    detail: str = ""


def checks(report: Report) -> tuple[Check, ...]:
    """Every check that was made, and those that were not, with why."""
    return (
        *_contract(report),
        *_open_loop(report),
        _golden(report),
        *_trace(report),
        *_closed_loop(report),
    )


def verdict(report: Report) -> Verdict:
    """``undecided``: nothing failed, but some returns need more episodes. That is not passed."""
    if report.passed:
        return "passed"
    found = {check.verdict for check in checks(report)}
    return "undecided" if "undecided" in found and "failed" not in found else "failed"


def _contract(report: Report) -> Iterator[Check]:
    for difference in report.differences:
        name, _, values = difference.partition(": ")
        yield Check("contract", name, "failed", values or difference)
    if not report.differences:
        yield Check("contract", "all facts", "passed", "contract and checkpoint agree")
    for note in report.notes:
        name, _, what = note.partition(": ")
        yield Check("contract", name, "skipped", what or note)


def _open_loop(report: Report) -> Iterator[Check]:
    if not report.comparisons:
        why = "no numbers were compared: the artifact's inputs are not those of the checkpoint"
        yield Check("open loop", "all cases", "skipped", why)
    groups: dict[tuple[str, str], list[Comparison]] = {}
    for comparison in report.comparisons:
        groups.setdefault((comparison.case.group, comparison.output), []).append(comparison)
    failures = set(map(id, report.failures))
    drifts = {(drift.group, drift.output): drift for drift in report.drifts}
    for (group, output), members in groups.items():
        name = f"{group}, {output}"
        failed = [c for c in members if id(c) in failures]
        drift = drifts.get((group, output))
        if failed:
            lines = [_said(report, c) for c in failed]
            message = _said(report, max(failed, key=report.share))
            if len(failed) > 1:
                message += f" (and {len(failed) - 1} more)"
            yield Check("open loop", name, "failed", message, "\n".join(lines))
        elif drift is not None:
            message = (
                f"off by {drift.rms:.1e} on the whole (root mean square), rounding is "
                f"{drift.rounding_rms:.1e}, allowed {drift.bound:.1e}"
            )
            yield Check("open loop", name, "failed", message, message)
        else:
            worst = max(members, key=report.share)
            message = f"{counted(len(members), 'case')}, worst: {_said(report, worst)}"
            yield Check("open loop", name, "passed", message)


def _said(report: Report, comparison: Comparison) -> str:
    case, level = comparison.case, report.level(comparison)
    where = f"B={case.batch} T={case.length} padding={case.padding}"
    if comparison.problem is not None:
        return f"{where}: {comparison.problem}"
    return (
        f"{where}: expected {comparison.expected:.9g}, seen {comparison.seen:.9g} "
        f"(error {comparison.error:.1e}, allowed {level.bound:.1e}, rounding {level.rounding:.1e})"
    )


def _golden(report: Report) -> Check:
    found = report.golden
    if found is None:
        why = "no golden episode was given: add --golden"
        return Check("golden", "golden episode", "skipped", why)
    name, calls = PurePath(found.file).name, counted(found.acts, "call")
    if found.passed:
        message = (
            f"{calls} of act, worst difference {found.max_abs_error:.1e}, allowed "
            f"{found.tolerance:.1e}"
        )
        return Check("golden", name, "passed", message)
    message = f"{counted(found.mismatches, 'mismatch', 'mismatches')} in {calls} of act"
    if found.first_mismatch is not None:
        message += f", the first: {found.first_mismatch}"
    return Check("golden", name, "failed", message)


def _trace(report: Report) -> Iterator[Check]:
    trace = report.trace
    if trace is None:
        why = "no recorded episodes were given: add --trace"
        yield Check("trace", "recorded episodes", "skipped", why)
        return
    if not trace.episodes:
        yield Check("trace", trace.source, "failed", "there is no episode in it")
    failed = set(map(id, trace.failures))
    for along in trace.episodes:
        message = f"{counted(len(along.errors), 'timestep')}"
        if along.errors:
            message += (
                f", worst error {max(along.errors):.1e} at timestep {along.worst}, allowed "
                f"{trace.bound:.1e}"
            )
        if along.problem is not None:
            message = f"{along.problem} ({message})"
        name = f"episode {along.episode}, target {along.target_return:g}"
        yield Check("trace", name, "failed" if id(along) in failed else "passed", message)


def _closed_loop(report: Report) -> Iterator[Check]:
    loop = report.closed_loop
    if loop is None:
        why = report.not_played or "no environment was given: add --env"
        yield Check("closed loop", "returns", "skipped", why)
        return
    for outcome in loop.outcomes:
        name = f"{loop.environment}, target {outcome.target_return:g}"
        pairs = [pair for pair in loop.pairs if pair.target_return == outcome.target_return]
        yield _returns(loop, outcome, name, pairs)
        if outcome.forced_error is not None:
            yield _actions(loop, outcome, f"{name}, actions", pairs)


def _returns(loop: ClosedLoop, outcome: Outcome, name: str, pairs: list[Pair]) -> Check:
    """What both earned, each in its own episodes."""
    earned = (
        f"artifact {outcome.seen:.1f}, {BASELINES[loop.baseline]} {outcome.expected:.1f} over "
        f"{outcome.episodes} seeds; difference {outcome.difference:+.3g}, "
        f"{100 * outcome.confidence:.3g} % interval {outcome.low:+.3g} to {outcome.high:+.3g}, "
        f"allowed ±{outcome.margin:.3g}"
    )
    problems = [f"seed {pair.seed}: {pair.problem}" for pair in pairs if pair.problem is not None]
    message = earned
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        message = problems[0] + more
    elif outcome.verdict == "undecided" and outcome.needed is not None:
        message += f"; about {outcome.needed} episodes would settle it"
    return Check("closed loop", name, outcome.verdict, message, "\n".join((*problems, earned)))


def _actions(loop: ClosedLoop, outcome: Outcome, name: str, pairs: list[Pair]) -> Check:
    """The artifact's actions on the observations of the baseline's episodes."""
    beyond = [pair for pair in loop.beyond if pair in pairs]
    message = (
        f"worst error {outcome.forced_error:.1e} on the observations of {BASELINES[loop.baseline]}"
    )
    if loop.forced_bound is None:
        return Check("closed loop", name, "skipped", f"not judged: {message}")
    message += f", allowed {loop.forced_bound:.1e}"
    lines = [f"seed {pair.seed}: off by {pair.forced_error:.1e}" for pair in beyond]
    return Check(
        "closed loop", name, "failed" if beyond else "passed", message, "\n".join((message, *lines))
    )


def counted(number: int, one: str, many: str | None = None) -> str:
    """``1 case``, ``2 cases``."""
    return f"{number} {one}" if number == 1 else f"{number} {many or one + 's'}"
