"""What a validation found: worst errors by group of inputs, failures, and a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from dt_export.cli.show.table import plain_table

if TYPE_CHECKING:
    from dt_export.validation import Report

SHOWN_FAILURES = 5


def comparisons(report: Report) -> RenderableType:
    """Worst errors by group beside the model's own rounding, then what failed with both values."""
    right = ("cases", "worst error", "rounding", "ratio")
    table = plain_table("inputs", *right, "where", right=right)
    for group, members in report.groups().items():
        worst = max(members, key=report.share)
        ratio, rounding = report.ratio(worst), report.level(worst).rounding
        table.add_row(
            group,
            str(len({c.case for c in members})),
            Text(f"{worst.error:.1e}", style="red" if report.share(worst) > 1 else "green"),
            f"{rounding:.1e}",
            f"{ratio:.1f}" if ratio < 1e4 else f"{ratio:.0e}",
            f"{worst.output}, B={worst.case.batch} T={worst.case.length} "
            f"padding={worst.case.padding}",
        )
    parts: list[RenderableType] = [table] if report.comparisons else []
    parts += [Text(f"note: {note}", style="yellow") for note in report.notes]
    for output in report.insensitive:
        what = (
            f"note: every {output} on these inputs is at a bound, where errors do not show: add "
            "--trace with data of your own, or --env"
        )
        parts.append(Text(what, style="yellow"))
    for level in report.ill_conditioned:
        what = (
            f"note: this network is ill-conditioned: rounding in float32 alone changes "
            f"{level.output} by {level.rounding:.1e}, so up to {level.bound:.1e} is allowed"
        )
        parts.append(Text(what, style="yellow"))
    parts += [Text(f"differs: {difference}", style="red") for difference in report.differences]
    for failure in report.failures[:SHOWN_FAILURES]:
        what = failure.problem or f"expected {failure.expected:.9g}, seen {failure.seen:.9g}"
        where = f"{report.contract.graph} graph, {failure.case}, {failure.output}"
        parts.append(Text(f"failed: {where}: {what}", style="red"))
    if len(report.failures) > SHOWN_FAILURES:
        parts.append(Text(f"... and {len(report.failures) - SHOWN_FAILURES} more", style="red"))
    for drift in report.drifts:
        what = (
            f"failed: {drift.group}, {drift.output}: off by {drift.rms:.1e} on the whole (root "
            f"mean square), rounding is {drift.rounding_rms:.1e}, allowed {drift.bound:.1e}"
        )
        parts.append(Text(what, style="red"))
    return Group(*parts)


def verdict(report: Report) -> Text:
    """One line, with the seed that draws the same inputs again, and one more about returns."""
    lines = (_equality(report), _smaller(report), _returns(report))
    return Text("\n").join(line for line in lines if line)


def _smaller(report: Report) -> Text | None:
    """What to type if the file is of a smaller precision and you did not say that it is."""
    if report.passed or report.stated is not None or report.precision == "fp32":
        return None
    return Text(
        f"compared with the rounding of fp32, but the graph computes in {report.precision}: if "
        f"you exported it so, validate with --precision {report.precision}",
        style="yellow",
    )


def _returns(report: Report) -> Text | None:
    """What a smaller precision earned, next to fp32."""
    loop, precision = report.closed_loop, report.contract.precision
    if loop is None:
        why = report.not_played
        return None if why is None else Text(f"returns not compared with fp32: {why}", "yellow")
    if loop.baseline != "fp32":  # shown in full, see ``show.closed_loop``
        return None
    (found,) = loop.outcomes
    return Text(
        f"{precision} earns {found.seen:.1f} in {loop.environment} at target "
        f"{found.target_return:g}, fp32 {found.expected:.1f}: {found.difference:+.1f} "
        f"({found.low:+.1f} to {found.high:+.1f}), allowed {found.margin:.1f} "
        f"({found.episodes} seeds)",
        style="green" if loop.passed else "bold red",
    )


def _equality(report: Report) -> Text:
    from dt_export.validation.levels import WORST

    against = {"eager": "eager PyTorch", "transformers": "transformers"}[report.reference]
    allowed = f"allowed {WORST:g}"
    if report.tolerance is not None:
        allowed = f"tolerance {report.tolerance:.0e}"
    cases = f"{allowed}; {report.cases} cases, seed {report.seed}"
    if report.equal:
        worst = max(report.comparisons, key=lambda c: c.error)
        times = f"{report.ratio(worst):.1f} times the rounding of {report.counted}"
        how = "equal" if report.stated in (None, "fp32") else "close"
        what = f"{how} to {against}: worst error {worst.error:.1e}, {times} ({cases})"
        return Text(what, style="green")
    return Text(f"NOT equal to {against} ({cases})", "bold red")
