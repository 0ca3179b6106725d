"""Errors by timestep, on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dt_export.html import numbers
from dt_export.html.drawing import INK, axes, logarithmic, svg
from dt_export.html.plot import Panel, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = 360  # drawn of an episode: one for each pixel
TOLD = 8  # rows of a table
SMALLEST = 1e-9  # an error below stands at the bottom edge


def panel(
    title: str,
    lines: Mapping[str, Sequence[float]],
    bound: float | None,
    name: str,
    height: float,
) -> Panel:
    """A line for each series of errors, and the bound.

    Args:
        lines: errors by timestep; the key is the ink. The first one is judged and told.
        name: unique on the page.
    """
    errors = next(iter(lines.values()))
    shown = {ink: stand_out(series) for ink, series in lines.items()}
    drawn = [abs(lines[ink][i]) for ink, indices in shown.items() for i in indices]
    finite = [value for value in (*drawn, bound or 0.0) if SMALLEST < value < math.inf]

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator

        ax = axes(figure, "timestep")
        logarithmic(ax, min(finite, default=SMALLEST), max(finite, default=1.0) * 1.5)
        low, high = ax.get_ylim()
        for ink, indices in shown.items():
            values = [max(low, min(high, lines[ink][i])) for i in indices]
            ax.plot(indices, values, color=INK[ink], linewidth=1.0)
        if bound:
            ax.axhline(bound, color=INK["bound"], linewidth=1.4, dashes=(5, 3))
        ax.set_xlim(0, max(1, len(errors) - 1))
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))

    worst = max(errors, default=0.0)
    label = f"{title}: at most {numbers.error(worst)}"
    if bound:
        over = sum(not value <= bound for value in errors)
        label += f", allowed {numbers.error(bound)}, beyond it at {over} of {len(errors)} timesteps"
    told = sorted(sorted(range(len(errors)), key=lambda i: -errors[i])[:TOLD])
    rows = tuple((str(i), numbers.error(errors[i])) for i in told)
    note = "The table has the timesteps with the largest errors." if len(errors) > TOLD else ""
    table = Table(("timestep", "worst error"), rows)
    return Panel(title, label, svg(draw, name, label, height), table, note)


def stand_out(series: Sequence[float], *others: Sequence[float]) -> list[int]:
    """Every timestep, or of a long episode those of each stretch with an extreme of a series."""
    steps, every = len(series), (series, *others)
    stretches = STEPS // (2 * len(every))
    if steps <= STEPS:
        return list(range(steps))
    shown = {0, steps - 1}
    for stretch in range(stretches):
        members = range(stretch * steps // stretches, (stretch + 1) * steps // stretches)
        for values in every:
            shown |= {min(members, key=values.__getitem__), max(members, key=values.__getitem__)}
    return sorted(shown)
