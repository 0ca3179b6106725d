"""How far the artifact is from eager PyTorch: by window length, by padding, by batch, by group."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dt_export.html import numbers
from dt_export.html.drawing import INK, WIDTH, axes, logarithmic, svg
from dt_export.html.plot import Key, Panel, Plot, Table
from dt_export.validation.levels import Comparison
from dt_export.validation.report import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DRAWN = 4  # outputs with plots of their own; all are in the table of groups
SMALLEST = 1e-9  # an error below stands at the bottom edge
LONGEST = 44  # characters of a group's name over its line
KEYS = (
    Key("artifact", "dot", "artifact, worst error"),
    Key("rounding", "line", "rounding of eager PyTorch itself"),
    Key("bound", "dashed", "allowed"),
    Key("failed", "cross", "failed"),
)


@dataclass(frozen=True)
class _Point:
    """The comparisons of one length, padding, batch or group."""

    where: float | str
    worst: Comparison
    rounding: float
    bound: float
    failed: bool


def plots(report: Report) -> tuple[Plot, ...]:
    """One plot for each output, those nearest to their bound or beyond it first."""
    failures = set(map(id, report.failures))
    by_output: dict[str, list[Comparison]] = {}
    for comparison in report.comparisons:
        by_output.setdefault(comparison.output, []).append(comparison)

    def nearest(members: Sequence[Comparison]) -> float:
        return max(report.share(c) for c in members)

    ordered = sorted(by_output.items(), key=lambda item: -nearest(item[1]))
    return tuple(
        _plot(report, output, members, failures, f"error{number}")
        for number, (output, members) in enumerate(ordered[:DRAWN])
    )


def _plot(
    report: Report, output: str, members: Sequence[Comparison], failures: set[int], name: str
) -> Plot:
    usual = [c for c in members if c.case.kind != "extreme" and not c.case.cached]
    whole = [c for c in usual if not c.case.padding]
    padded = [c for c in usual if c.case.padding]
    longest = {c.case.length for c in padded}
    panels: list[Panel] = []

    def points(
        comparisons: Iterable[Comparison], where: Callable[[Comparison], float | str]
    ) -> list[_Point]:
        return _points(report, comparisons, where, failures)

    by_length = points(whole, lambda c: c.case.length)
    by_padding = points([c for c in usual if c.case.length in longest], lambda c: c.case.padding)
    by_batch = points(usual, lambda c: c.case.batch)
    for found, draw, title, xlabel in (
        (by_length, _panel, "By window length", "window length in timesteps"),
        (by_padding, _panel, "By left padding", "timesteps of left padding"),
        (by_batch, _columns, "By batch size", "rows in the batch"),
    ):
        if len(found) > 1:
            panels.append(draw(found, title, xlabel, f"{name}-{len(panels)}", output))
    # A group may be off on the whole, and in no single number.
    drifted = {drift.group for drift in report.drifts if drift.output == output}
    groups = [
        replace(point, failed=point.failed or point.where in drifted)
        for point in points(members, lambda c: c.case.group)
    ]
    panels.append(_grouped(groups, f"{name}-g", output))
    return Plot(f"Output {output}", KEYS, tuple(panels))


def _points(
    report: Report,
    comparisons: Iterable[Comparison],
    where: Callable[[Comparison], float | str],
    failures: set[int],
) -> list[_Point]:
    by: dict[float | str, list[Comparison]] = {}
    for comparison in comparisons:
        by.setdefault(where(comparison), []).append(comparison)
    found = []
    for place, members in by.items():
        worst = max(members, key=report.share)
        found.append(
            _Point(
                place,
                worst,
                max(c.rounding for c in members),
                report.level(worst).bound,
                any(id(c) in failures for c in members),
            )
        )
    return found if found and isinstance(found[0].where, str) else sorted(found, key=_place)


def _place(point: _Point) -> float:
    return float(point.where)


def _range(points: Sequence[_Point]) -> tuple[float, float]:
    seen = [
        value
        for p in points
        for value in (p.worst.error, p.rounding, p.bound)
        if math.isfinite(value) and value > SMALLEST
    ]
    return min(seen, default=SMALLEST), max(seen, default=1.0) * 1.5


def _clipped(value: float, low: float, high: float) -> float:
    return high if not math.isfinite(value) else max(low, min(high, value))


def _panel(points: Sequence[_Point], title: str, xlabel: str, name: str, output: str) -> Panel:
    def draw(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator

        ax = axes(figure, xlabel)
        logarithmic(ax, *_range(points))
        low, high = ax.get_ylim()
        places = [_place(p) for p in points]
        for ink, width, values in (
            ("bound", 1.4, [_clipped(p.bound, low, high) for p in points]),
            ("rounding", 1.6, [_clipped(p.rounding, low, high) for p in points]),
        ):
            dashes = (5, 3) if ink == "bound" else (None, None)
            ax.plot(places, values, color=INK[ink], linewidth=width, dashes=dashes)
        _dots(ax, places, points, low, high)
        ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        margin = max(0.5, (places[-1] - places[0]) * 0.04)
        ax.set_xlim(places[0] - margin, places[-1] + margin)

    label = f"{title}, output {output}: {_said(points)}"
    return Panel(title, label, svg(draw, name, label), _table(xlabel, points))


def _columns(points: Sequence[_Point], title: str, xlabel: str, name: str, output: str) -> Panel:
    """Few values, far from one another: a column for each."""

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import FixedFormatter, FixedLocator

        ax = axes(figure, xlabel)
        logarithmic(ax, *_range(points))
        low, high = ax.get_ylim()
        for at, point in enumerate(points):
            for ink, width, value in (
                ("bound", 1.4, point.bound),
                ("rounding", 1.6, point.rounding),
            ):
                style = (0, (5, 3)) if ink == "bound" else "solid"
                y = _clipped(value, low, high)
                ax.hlines(y, at - 0.3, at + 0.3, color=INK[ink], linewidth=width, linestyle=style)
        _dots(ax, range(len(points)), points, low, high)
        ax.xaxis.set_major_locator(FixedLocator(range(len(points))))
        ax.xaxis.set_major_formatter(FixedFormatter([f"{p.where:g}" for p in points]))
        ax.set_xlim(-0.6, len(points) - 0.4)

    label = f"{title}, output {output}: {_said(points)}"
    return Panel(title, label, svg(draw, name, label), _table(xlabel, points))


def _dots(
    ax: Axes, places: Sequence[float], points: Sequence[_Point], low: float, high: float
) -> None:
    fine = [i for i, p in enumerate(points) if not p.failed]
    failed = [i for i, p in enumerate(points) if p.failed]
    ax.plot(
        [places[i] for i in fine],
        [_clipped(points[i].worst.error, low, high) for i in fine],
        linestyle="none", marker="o", markersize=4.5, color=INK["artifact"], markeredgewidth=0,
    )  # fmt: skip
    ax.plot(
        [places[i] for i in failed],
        [_clipped(points[i].worst.error, low, high) for i in failed],
        linestyle="none", marker="X", markersize=7, color=INK["failed"], markeredgewidth=0,
        clip_on=False,
    )  # fmt: skip


def _grouped(points: Sequence[_Point], name: str, output: str) -> Panel:
    """A line for each group, its name above the line: names are too long to stand beside it."""
    row = 30.0
    height = 26.0 + row * len(points) + 30.0

    def draw(figure: Figure) -> None:
        from math import ceil, floor, log10

        from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

        ax = figure.add_axes((14 / WIDTH, 44 / height, 1 - 30 / WIDTH, 1 - 50 / height))
        low, high = _range(points)
        first, last = floor(log10(low)), ceil(log10(high))
        if last - first < 2:
            first -= 1
        low, high = 10.0**first, 10.0**last
        ax.set_xscale("log")
        ax.set_xlim(low, high)
        every = max(1, (last - first + 5) // 6)
        ax.xaxis.set_major_locator(FixedLocator([10.0**n for n in range(first, last + 1, every)]))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"1e{round(log10(value))}"))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_ylim(len(points) - 0.25, -0.75)
        ax.yaxis.set_major_locator(NullLocator())
        ax.spines["left"].set_visible(False)
        ax.grid(True, axis="x")
        ax.set_xlabel("error")
        for at, point in enumerate(points):
            ax.hlines(at, low, high, color=INK["grid"], linewidth=0.7)
            for value, ink, width in (
                (point.rounding, "rounding", 1.6),
                (point.bound, "bound", 1.8),
            ):
                x = _clipped(value, low, high)
                ax.vlines(x, at - 0.18, at + 0.18, color=INK[ink], linewidth=width,
                          linestyle="solid" if ink == "rounding" else (0, (2, 1)))  # fmt: skip
            x = _clipped(point.worst.error, low, high)
            bad = point.failed
            ax.plot(
                [x], [at], marker="X" if bad else "o", markersize=7 if bad else 5,
                color=INK["failed" if bad else "artifact"], markeredgewidth=0, clip_on=False,
            )  # fmt: skip
            text = str(point.where)
            shown = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
            ax.text(low, at - 0.47, shown, fontsize=10.5, color=INK["text"], va="center")

    label = f"By kind of input, output {output}: {_said(points)}"
    return Panel(
        "By kind of input", label, svg(draw, name, label, height), _table("inputs", points)
    )


def _said(points: Sequence[_Point]) -> str:
    failed = sum(p.failed for p in points)
    worst = max((p.worst for p in points), key=lambda c: c.error)
    verdict = (
        f"{failed} of {len(points)} failed" if failed else f"all {len(points)} within the bound"
    )
    return f"{verdict}, worst error {numbers.error(worst.error)}"


def _table(where: str, points: Sequence[_Point]) -> Table:
    columns = (where, "worst error", "rounding", "allowed", "error / rounding", "")
    return Table(
        columns,
        tuple(
            (
                f"{p.where:g}" if isinstance(p.where, float | int) else p.where,
                numbers.error(p.worst.error),
                numbers.error(p.rounding),
                numbers.error(p.bound),
                numbers.ratio(p.worst.error, p.rounding),
                "failed" if p.failed else "passed",
            )
            for p in points
        ),
    )
