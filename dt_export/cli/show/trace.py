"""What a replayed trace found, by episode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from dt_export.cli.show.table import plain_table
from dt_export.process.terminal import one_line

if TYPE_CHECKING:
    from dt_export.validation import Report

SHOWN = 10  # episodes; those furthest off


def trace_result(report: Report) -> RenderableType:
    """The episodes with the largest errors, then a verdict; nothing where there is no trace."""
    result = report.trace
    if result is None:
        return Group()
    right = ("episode", "target", "steps", "worst error", "rounding", "at step")
    table = plain_table(*right, right=right)
    wrong = {along.episode for along in result.failures}
    order = sorted(result.episodes, key=lambda along: -max(along.errors, default=0.0))[:SHOWN]
    for along in sorted(order, key=lambda along: along.episode):
        table.add_row(
            str(along.episode),
            f"{along.target_return:g}",
            str(len(along.errors)),
            Text(
                f"{max(along.errors, default=0.0):.1e}",
                style="red" if along.episode in wrong else "green",
            ),
            f"{max(along.rounding, default=0.0):.1e}",
            str(along.worst),
        )
    lines: list[RenderableType] = [table]
    for along in [along for along in result.failures if along.problem is not None][:SHOWN]:
        what = one_line(along.problem or "")
        lines.append(Text(f"failed: episode {along.episode}: {what}", style="red"))
    count, shown = len(result.episodes), len(order)
    if count > shown:
        lines.append(Text(f"the {shown} of {count} episodes with the largest errors", style="dim"))
    what = f"{count} episode{'s' * (count > 1)}, {result.steps} steps, allowed {result.bound:.1e}"
    verdict = Text(f"trace: equal along it ({what})", style="green")
    if not result.passed:
        verdict = Text(f"trace: NOT equal along it ({what})", style="bold red")
    return Group(*lines, verdict)
