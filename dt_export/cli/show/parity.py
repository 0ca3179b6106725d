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
    """Worst errors by group, then what failed with both values."""
    right = ("cases", "worst error", "worst absolute")
    table = plain_table("inputs", *right, "where", right=right)
    for group, members in report.groups().items():
        worst = max(members, key=lambda c: c.error)
        failed = not worst.error <= report.tolerance
        table.add_row(
            group,
            str(len({c.case for c in members})),
            Text(f"{worst.error:.1e}", style="red" if failed else "green"),
            f"{max(c.abs_error for c in members):.1e}",
            f"{worst.output}, B={worst.case.batch} T={worst.case.length} "
            f"padding={worst.case.padding}",
        )
    parts: list[RenderableType] = [table] if report.comparisons else []
    parts += [Text(f"note: {note}", style="yellow") for note in report.notes]
    parts += [Text(f"differs: {difference}", style="red") for difference in report.differences]
    for failure in report.failures[:SHOWN_FAILURES]:
        what = failure.problem or f"expected {failure.expected:.9g}, seen {failure.seen:.9g}"
        where = f"{report.contract.graph} graph, {failure.case}, {failure.output}"
        parts.append(Text(f"failed: {where}: {what}", style="red"))
    if len(report.failures) > SHOWN_FAILURES:
        parts.append(Text(f"... and {len(report.failures) - SHOWN_FAILURES} more", style="red"))
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
        f"compared with the tolerance of fp32, but the graph computes in {report.precision}: if "
        f"you exported it so, validate with --precision {report.precision}",
        style="yellow",
    )


def _returns(report: Report) -> Text | None:
    """What a smaller precision earned, next to fp32."""
    loop, precision = report.closed_loop, report.contract.precision
    if loop is None:
        why = report.not_played
        return None if why is None else Text(f"returns not compared with fp32: {why}", "yellow")
    (found,) = loop.outcomes
    return Text(
        f"{precision} earns {found.seen:.1f} in {loop.environment} at target "
        f"{found.target_return:g}, fp32 {found.expected:.1f}: {found.difference:+.1f} "
        f"({found.low:+.1f} to {found.high:+.1f}), allowed {found.margin:.1f} "
        f"({found.episodes} seeds)",
        style="green" if loop.passed else "bold red",
    )


def _equality(report: Report) -> Text:
    cases = f"{report.cases} cases, seed {report.seed}"
    against = {"eager": "eager PyTorch", "transformers": "transformers"}[report.reference]
    if report.equal:
        worst = f"worst error {report.worst.error:.1e}, tolerance {report.tolerance:.0e}"
        how = "equal" if report.stated in (None, "fp32") else "close"
        return Text(f"{how} to {against}: {worst} ({cases})", style="green")
    return Text(f"NOT equal to {against} (tolerance {report.tolerance:.0e}; {cases})", "bold red")
