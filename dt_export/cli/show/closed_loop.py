"""What a closed loop found: a table of targets, and a sentence for each thing to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from dt_export.cli.show.table import plain_table

if TYPE_CHECKING:
    from dt_export.validation import Report
    from dt_export.validation.closed_loop import ClosedLoop, Outcome, Pair

SHOWN = 5  # failures
COLOURS = {"passed": "green", "failed": "red", "undecided": "yellow"}


def closed_loop(loop: ClosedLoop) -> RenderableType:
    """The table, then what failed, what is open, and what to type."""
    baseline = {"eager": "eager", "fp32": "fp32"}[loop.baseline]
    forced = any(pair.forced_error is not None for pair in loop.pairs)
    right = (
        "target", "episodes", baseline, "artifact", "difference", "interval", "allowed", "alike",
        "parted at", *(("forced error",) if forced else ()),
    )  # fmt: skip
    table = plain_table(*right, "verdict", right=right)
    for found in loop.outcomes:
        pairs = [pair for pair in loop.pairs if pair.target_return == found.target_return]
        error = () if not forced else (_forced(loop, found),)
        table.add_row(
            f"{found.target_return:g}",
            str(found.episodes),
            f"{found.expected:.1f}",
            f"{found.seen:.1f}",
            f"{found.difference:+.1f}",
            f"{found.low:+.1f} to {found.high:+.1f}",
            f"{found.margin:.1f}",
            str(found.identical),
            _parted(pairs),
            *error,
            Text(found.verdict, style=COLOURS[found.verdict]),
        )
    return Group(table, *sentences(loop))


def played(report: Report) -> RenderableType:
    """The closed loop of a validation; nothing where there is none."""
    return Group() if report.closed_loop is None else closed_loop(report.closed_loop)


def sentences(loop: ClosedLoop) -> list[Text]:
    """What failed and what is open, one line each; at the end the verdict."""
    lines: list[Text] = []
    for pair in loop.problems[:SHOWN]:
        lines.append(Text(f"failed: {_where(pair)}: {pair.problem}", style="red"))
    for pair in loop.beyond[:SHOWN]:
        lines.append(
            Text(
                f"failed: {_where(pair)}: on the baseline's own observations an action is off by "
                f"{pair.forced_error:.1e}, allowed {loop.forced_bound:.1e}",
                style="red",
            )
        )
    for found in loop.outcomes:
        if found.verdict == "failed" and not found.problems:
            more = "more" if found.difference > 0 else "less"
            what = f"{abs(found.difference):.1f} {more} than {loop.against}"
            lines.append(
                Text(
                    f"failed at target {found.target_return:g}: the artifact earns {what}, allowed "
                    f"{found.margin:.1f}",
                    style="red",
                )
            )
    for number in (len(loop.problems) - SHOWN, len(loop.beyond) - SHOWN):
        if number > 0:
            lines.append(Text(f"... and {number} more", style="red"))
    lines += [Text(_open(loop, o), "yellow") for o in loop.outcomes if o.verdict == "undecided"]
    if any(not pair.same_start for pair in loop.pairs):
        lines.append(
            Text(
                "note: the environment begins differently on the same seed, so the episodes are no "
                "pairs and the interval is wide",
                style="yellow",
            )
        )
    return [*lines, _verdict(loop)]


def _verdict(loop: ClosedLoop) -> Text:
    count, baseline = len(loop.pairs), loop.against
    what = f"{loop.environment}, {count} {'pair' if count == 1 else 'pairs'} of episodes"
    if loop.passed:
        return Text(
            f"closed loop passed: the artifact earns what {baseline} earns ({what})", "green"
        )
    if loop.undecided:
        return Text(f"closed loop UNDECIDED, which is no pass ({what})", "bold red")
    return Text(f"closed loop FAILED ({what})", "bold red")


def _open(loop: ClosedLoop, found: Outcome) -> str:
    head = f"undecided at target {found.target_return:g}: "
    repeat = "" if loop.first_look is not None else " or --until-sure"
    if found.episodes == 1:
        return head + f"one episode does not show a spread; add --episodes 20{repeat}"
    around_zero = abs(found.expected) <= (found.high - found.low) / 2
    if loop.relative and (around_zero or found.needed is None):
        part = f"{100 * loop.allowed:g} % of a mean return of {found.expected:.3g}"
        return head + (
            f"{part} is {found.margin:.2g}, which episodes can hardly tell from chance; state an "
            "amount of return, such as --allowed 5"
        )
    if found.needed is None:
        return head + (
            f"the difference is about as large as what is allowed ({found.margin:g}), so no number "
            "of episodes settles it; state another --allowed"
        )
    return head + (
        f"about {found.needed} episodes would settle it; add --episodes {found.needed}{repeat}"
    )


def _forced(loop: ClosedLoop, found: Outcome) -> Text:
    error, bound = found.forced_error, loop.forced_bound
    if error is None:
        return Text("")
    style = "" if bound is None else "green" if error <= bound else "red"
    return Text(f"{error:.1e}", style=style)


def _parted(pairs: list[Pair]) -> str:
    """The range of the first steps at which actions are visibly apart."""
    steps = [pair.parted for pair in pairs if pair.parted is not None]
    if not steps:
        return "never"
    low, high = min(steps), max(steps)
    return f"step {low}" if low == high else f"steps {low} to {high}"


def _where(pair: Pair) -> str:
    return f"seed {pair.seed}, target {pair.target_return:g}"


__all__ = ["closed_loop", "played", "sentences"]
