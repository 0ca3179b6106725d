"""Errors along recorded episodes: by timestep, and by episode."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dt_export.html import along, numbers
from dt_export.html.drawing import HEIGHT, INK, axes, logarithmic, svg
from dt_export.html.plot import Key, Panel, Plot, Table
from dt_export.validation.trace import TraceResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOLD = 50  # episodes in the table: those with the largest errors
KEYS = (
    Key("artifact", "line", "artifact, worst error of all episodes"),
    Key("rounding", "line", "rounding of eager PyTorch itself"),
    Key("bound", "dashed", "allowed"),
    Key("failed", "cross", "failed"),
)


def plot(trace: TraceResult) -> Plot:
    steps = max((len(episode.errors) for episode in trace.episodes), default=0)
    errors, rounding = (
        [max(series[t] for series in of if t < len(series)) for t in range(steps)]
        for of in (
            [episode.errors for episode in trace.episodes],
            [episode.rounding for episode in trace.episodes],
        )
    )
    panels = [_by_episode(trace)]
    if steps:
        lines = {"artifact": errors, "rounding": rounding}
        panels.insert(0, along.panel("By timestep", lines, trace.bound, "tracet", HEIGHT))
    note = f"{len(trace.episodes):,} episodes, {trace.steps:,} timesteps."
    return Plot(trace.source, KEYS, tuple(panels), note)


def _by_episode(trace: TraceResult) -> Panel:
    failed = {episode.episode for episode in trace.failures}
    worst = {
        episode.episode: math.inf if episode.problem else max(episode.errors, default=0.0)
        for episode in trace.episodes
    }
    finite = [v for v in (*worst.values(), trace.bound) if along.SMALLEST < v < math.inf]

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator

        ax = axes(figure, "episode")
        logarithmic(ax, min(finite, default=along.SMALLEST), max(finite, default=1.0) * 1.5)
        low, high = ax.get_ylim()
        for of, marker, size, ink in (
            ([e for e in worst if e not in failed], "o", 3.5, "artifact"),
            (sorted(failed), "X", 7, "failed"),
        ):
            ax.plot(
                of, [max(low, min(high, worst[e])) for e in of], linestyle="none", marker=marker,
                markersize=size, color=INK[ink], markeredgewidth=0, clip_on=False,
            )  # fmt: skip
        ax.axhline(trace.bound, color=INK["bound"], linewidth=1.4, dashes=(5, 3))
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))

    label = f"By episode: {len(failed)} of {len(worst)} failed"
    ordered = sorted(trace.episodes, key=lambda episode: -worst[episode.episode])[:TOLD]
    rows = tuple(
        (
            str(episode.episode),
            f"{episode.target_return:g}",
            str(len(episode.errors)),
            numbers.error(max(episode.errors, default=math.nan)),
            str(episode.worst) if episode.errors else "",
            "failed" if episode.episode in failed else "passed",
        )
        for episode in ordered
    )
    columns = ("episode", "target", "timesteps", "worst error", "at timestep", "verdict")
    note = "The table has the episodes with the largest errors." if len(worst) > TOLD else ""
    table = Table(columns, rows)
    return Panel("By episode", label, svg(draw, "tracee", label), table, note)
