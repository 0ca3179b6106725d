"""How long ``Policy.act`` took: a histogram."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dt_export.html.drawing import INK, axes, svg
from dt_export.html.plot import Key, Panel, Plot, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dt_export.validation.latency import Latency

WIDE = 4.0  # times the smallest: from here on the axis of time is logarithmic
DEEP = 100.0  # the same of counts: else the few slow steps could not be seen


def plot(latency: Latency) -> Plot:
    keys = (
        Key("artifact", "band", "steps"),
        Key("rounding", "line", f"median {_us(latency.p50_us)}"),
        Key("bound", "dashed", f"99 of 100 within {_us(latency.p99_us)}"),
    )
    edges, counts = latency.edges_us, latency.counts

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

        ax = axes(figure, "time for one Policy.act", "steps", left=66.0)
        ax.stairs(counts, edges, fill=True, color=INK["artifact"], alpha=0.75, linewidth=0)
        if edges[0] > 0 and edges[-1] > WIDE * edges[0]:
            ax.set_xscale("log")
            subs = (1.0,) if edges[-1] > 30 * edges[0] else (1.0, 2.0, 5.0)
            ax.xaxis.set_major_locator(LogLocator(subs=subs, numticks=8))
            ax.xaxis.set_minor_formatter(NullFormatter())
        else:
            ax.xaxis.set_major_locator(MaxNLocator(6))
        ax.set_xlim(edges[0], edges[-1])
        fewest = min((count for count in counts if count), default=1)
        if max(counts) > DEEP * fewest:
            ax.set_yscale("log")
            ax.set_ylim(0.6 * fewest, max(counts) * 1.6)
            ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
            ax.yaxis.set_minor_formatter(NullFormatter())
        else:
            ax.set_ylim(0, max(counts) * 1.08 or 1)
            ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        ax.axvline(latency.p50_us, color=INK["rounding"], linewidth=1.6)
        ax.axvline(latency.p99_us, color=INK["bound"], linewidth=1.6, dashes=(5, 3))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _us(value)))

    label = (
        f"Latency of Policy.act over {latency.steps} steps: median {_us(latency.p50_us)}, "
        f"99 of 100 within {_us(latency.p99_us)}, longest {_us(latency.max_us)}"
    )
    rows = tuple(
        (f"{low:,.1f}", f"{high:,.1f}", str(count))
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
        if count
    )
    panel = Panel(
        "", label, svg(draw, "latency", label), Table(("from µs", "to µs", "steps"), rows)
    )
    note = f"{latency.steps:,} steps, the longest {_us(latency.max_us)}."
    return Plot("", keys, (panel,), note)


def _us(value: float) -> str:
    """A time with the unit in which it is short."""
    unit, size = ("µs", 1.0) if value < 1e3 else ("ms", 1e3) if value < 1e6 else ("s", 1e6)
    return f"{value / size:.3g} {unit}"
