"""The sweep as a picture: latency by window length and by hidden size, both axes logarithmic."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dt_export.bench.report import Report
from dt_export.bench.sweep import Point
from dt_export.errors import UsageError
from dt_export.files.ours import is_plot
from dt_export.files.writing import Output, atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".svg", ".png")
MAKER = "dt-export"  # in the metadata: marks a picture as ours
# The palette of Okabe and Ito, safe for the colour-blind, with a marker each.
STYLES = (
    ("#000000", "o"),
    ("#D55E00", "s"),
    ("#0072B2", "^"),
    ("#009E73", "D"),
    ("#CC79A7", "v"),
    ("#E69F00", "P"),
    ("#56B4E9", "X"),
)
PANELS = (
    ("context_length", "context length K in timesteps", "hidden size 128, batch 1"),
    ("hidden_size", "hidden size", "K = 20, batch 1"),
)
SIZE = (9.0, 4.1)  # inches; a README shows at most 900 points
DPI = 160  # of a PNG
LEAST_GAP = 0.052  # between two labels, as a fraction of the axis


def check(path: Path, inputs: Iterable[Path] = (), force: bool = False) -> None:
    """Check before minutes of measuring that the picture can be written.

    Raises:
        UsageError: the suffix is neither .svg nor .png, the folder does not exist, matplotlib is
            not installed, or the file is one of ``inputs`` or exists, and neither dt-export wrote
            it nor ``force`` is given.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"--plot {path}: expected a file ending in {' or '.join(SUFFIXES)}")
    Output(path, "--plot", is_plot, tuple(inputs), force).check()
    if find_spec("matplotlib") is None:
        raise UsageError("--plot needs matplotlib: `pip install 'dt-export[report]'`")


def write_plot(
    report: Report, path: Path, *, inputs: Iterable[Path] = (), force: bool = False
) -> None:
    """Draw a report's sweep into an .svg or .png file; the same report gives the same bytes.

    Raises:
        UsageError: as in ``check``, or the report has no sweep.
    """
    inputs = tuple(inputs)
    check(path, inputs, force)
    if not any(point.step for point in report.sweep):
        raise UsageError("--plot draws a sweep, and this report has none: add --sweep")
    with atomic(Output(path, "--plot", is_plot, inputs, force)) as temporary:
        temporary.write_bytes(_drawn(report, path.suffix))


def _drawn(report: Report, suffix: str) -> bytes:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {
        "svg.hashsalt": "dt-export",  # else identifiers are random
        "font.size": 10,
        "font.family": "DejaVu Sans",  # ships with matplotlib, so it is the same everywhere
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        titles = list(dict.fromkeys(point.title for point in report.sweep if point.step))
        panels = [panel for panel in PANELS if any(p.axis == panel[0] for p in report.sweep)]
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for ax, (axis, label, note) in zip(axes, panels, strict=True):
            points = [point for point in report.sweep if point.axis == axis and point.step]
            _panel(ax, points, titles)
            ax.set_xlabel(label)
            ax.set_title(note, fontsize=10, color="#444444")
        axes[0].set_ylabel("median of one control step, \N{MICRO SIGN}s")
        figure.suptitle(
            f"One control step on {report.machine.cpu}, {_threads(report.threads)}", fontsize=11
        )
        for ax, (axis, _, _) in zip(axes, panels, strict=True):
            _label(ax, [p for p in report.sweep if p.axis == axis and p.step], titles)
        buffer = io.BytesIO()
        metadata = {"Date": None, "Title": MAKER} if suffix == ".svg" else {"Software": MAKER}
        figure.savefig(buffer, format=suffix[1:], metadata=metadata)
    return buffer.getvalue()


def _panel(ax: Axes, points: Sequence[Point], titles: Sequence[str]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

    for index, title in enumerate(titles):
        line = _line(points, title)
        color, marker = STYLES[index % len(STYLES)]
        ax.plot(*zip(*line, strict=True), color=color, marker=marker, markersize=5, linewidth=1.8)
    values = sorted({point.value for point in points})
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.xaxis.set_major_locator(FixedLocator(values))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(FixedLocator([]))
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(which="minor", length=0)
    ax.grid(True, which="major", color="#DDDDDD", linewidth=0.6)
    ax.set_axisbelow(True)


def _line(points: Sequence[Point], title: str) -> list[tuple[float, float]]:
    """(value, median in microseconds) of a candidate, by value."""
    return sorted((p.value, p.step.p50_us) for p in points if p.title == title and p.step)


def _label(ax: Axes, points: Sequence[Point], titles: Sequence[str]) -> None:
    """Write each line's name at its right end, pushed apart where ends are close."""
    ends = []
    for index, title in enumerate(titles):
        line = _line(points, title)
        if line:
            ends.append((line[-1], title, STYLES[index % len(STYLES)][0]))
    to_axes = ax.transScale + ax.transLimits  # data to fractions of the axis
    wanted = [float(to_axes.transform(end)[1]) for end, _, _ in ends]
    heights = _apart(wanted, LEAST_GAP)
    for (end, title, color), height in zip(ends, heights, strict=True):
        x = float(to_axes.transform(end)[0]) + 0.03
        ax.text(
            x, height, title, color=color, fontsize=9, va="center", ha="left",
            transform=ax.transAxes,
        )  # fmt: skip


def _apart(wanted: Sequence[float], gap: float) -> list[float]:
    """Positions as near to those wanted as ``gap`` between any two allows."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    groups: list[list[int]] = []  # of neighbours that touch, centred on their mean
    for index in order:
        groups.append([index])
        while len(groups) > 1 and _bottom(groups[-1], wanted, gap) < _top(groups[-2], wanted, gap):
            groups[-2:] = [groups[-2] + groups[-1]]
    placed = [0.0] * len(wanted)
    for group in groups:
        low = _bottom(group, wanted, gap)
        for position, index in enumerate(group):
            placed[index] = low + gap / 2 + position * gap
    return placed


def _bottom(group: Sequence[int], wanted: Sequence[float], gap: float) -> float:
    return sum(wanted[i] for i in group) / len(group) - gap * len(group) / 2


def _top(group: Sequence[int], wanted: Sequence[float], gap: float) -> float:
    return _bottom(group, wanted, gap) + gap * len(group)


def _threads(threads: int) -> str:
    return "one thread" if threads == 1 else f"{threads} threads"
