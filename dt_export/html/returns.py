"""Returns asked against achieved, paired by seed, and the interval of the paired difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dt_export.html import numbers
from dt_export.html.drawing import INK, axes, svg
from dt_export.html.plot import Key, Panel, Plot, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dt_export.validation.closed_loop import ClosedLoop, Outcome, Pair


def plots(loop: ClosedLoop, baseline: str) -> tuple[Plot, ...]:
    keys = (
        Key("eager", "ring", baseline),
        Key("artifact", "dot", "artifact, joined with the same seed"),
        Key("muted", "dotted", "asked"),
        Key("allowed", "band", "allowed for the mean difference"),
    )
    panels = (_achieved(loop, baseline), _difference(loop.outcomes, baseline))
    return (Plot(f"Returns in {loop.environment}", keys, panels),)


def _achieved(loop: ClosedLoop, baseline: str) -> Panel:
    targets = sorted({pair.target_return for pair in loop.pairs})
    by_target = {t: [p for p in loop.pairs if p.target_return == t] for t in targets}

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

        ax = axes(figure, "return asked for", "return achieved", left=66.0)
        for at, (target, pairs) in enumerate(by_target.items()):
            ax.hlines(target, at - 0.4, at + 0.4, color=INK["muted"], linewidth=1.2, linestyle=":")
            for i, pair in enumerate(pairs):
                x = at + (0.6 * (i + 0.5) / len(pairs) - 0.3)
                if not (math.isfinite(pair.expected) and math.isfinite(pair.seen)):
                    continue
                ax.plot([x, x], [pair.expected, pair.seen], color=INK["artifact"], linewidth=1.0)
                ax.plot(
                    [x], [pair.expected], marker="o", markersize=6, color=INK["eager"],
                    markerfacecolor="none", markeredgewidth=1.3,
                )  # fmt: skip
                ax.plot(
                    [x], [pair.seen], marker="o", markersize=3.4, color=INK["artifact"],
                    markeredgewidth=0,
                )  # fmt: skip
        ax.set_xlim(-0.6, len(targets) - 0.4)
        ax.xaxis.set_major_locator(FixedLocator(range(len(targets))))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{targets[round(at)]:g}"))
        ax.yaxis.set_major_locator(MaxNLocator(5))
        ax.yaxis.set_major_formatter(
            FuncFormatter(
                lambda value, _: f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
            )
        )

    said = "; ".join(
        f"asked {o.target_return:g}: {baseline} {numbers.returns(o.expected)}, "
        f"artifact {numbers.returns(o.seen)} over {o.episodes} seeds"
        for o in loop.outcomes
    )
    label = f"Returns asked against achieved. {said}"
    columns = (
        "asked", "seed", baseline, "artifact", "difference", "steps", "part at step",
        "action error",
    )  # fmt: skip
    rows = tuple(_row(pair) for target in targets for pair in by_target[target])
    return Panel(
        "Asked against achieved", label, svg(draw, "achieved", label), Table(columns, rows)
    )


def _row(pair: Pair) -> tuple[str, ...]:
    same = pair.expected_length == pair.length
    return (
        f"{pair.target_return:g}",
        str(pair.seed),
        numbers.returns(pair.expected),
        pair.problem or numbers.returns(pair.seen),
        f"{pair.seen - pair.expected:+.3g}",
        str(pair.length) if same else f"{pair.expected_length} / {pair.length}",
        "never" if pair.parted is None else str(pair.parted),
        "" if pair.forced_error is None else numbers.error(pair.forced_error),
    )


def _difference(outcomes: Sequence[Outcome], baseline: str) -> Panel:
    """A row for each target: mean difference and interval, over what is allowed."""

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

        ax = axes(figure, f"mean return: artifact minus {baseline}", left=66.0)
        ax.set_ylabel("asked")
        for at, outcome in enumerate(outcomes):
            if not math.isfinite(outcome.difference):
                continue
            ink = {"passed": "artifact", "undecided": "rounding"}.get(outcome.verdict, "failed")
            ax.fill_betweenx(
                [at - 0.36, at + 0.36], -outcome.margin, outcome.margin,
                color=INK["allowed"], alpha=0.25, linewidth=0,
            )  # fmt: skip
            if math.isfinite(outcome.high - outcome.low):  # one episode has no interval
                ax.plot(
                    [outcome.low, outcome.high], [at, at], color=INK[ink], linewidth=2.2,
                    marker="|", markersize=11, markeredgewidth=2.0,
                )  # fmt: skip
            ax.plot(
                [outcome.difference], [at], marker="X" if ink == "failed" else "o", markersize=7,
                color=INK[ink], markeredgewidth=0,
            )  # fmt: skip
        ax.axvline(0, color=INK["muted"], linewidth=0.9)
        ax.grid(False, axis="y")
        ax.grid(True, axis="x")
        ax.set_ylim(len(outcomes) - 0.4, -0.6)
        ax.yaxis.set_major_locator(FixedLocator(range(len(outcomes))))
        ax.yaxis.set_major_formatter(
            FuncFormatter(lambda at, _: f"{outcomes[round(at)].target_return:g}")
        )
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))

    confidence = outcomes[0].confidence if outcomes else 0.95
    title = f"Mean difference, {100 * confidence:.3g} % interval"
    said = "; ".join(
        f"asked {o.target_return:g}: {o.difference:+.3g} ({o.low:+.3g} to {o.high:+.3g}), "
        f"allowed {o.margin:.3g}, {o.verdict}"
        for o in outcomes
    )
    label = f"{title}. {said}"
    columns = (
        "asked", "seeds", "mean difference", "from", "to", "allowed", "identical episodes",
        "verdict",
    )  # fmt: skip
    rows = tuple(
        (
            f"{o.target_return:g}",
            str(o.episodes),
            f"{o.difference:+.3g}",
            f"{o.low:+.3g}",
            f"{o.high:+.3g}",
            f"±{o.margin:.3g}",
            str(o.identical),
            o.verdict if o.needed is None else f"{o.verdict}: needs {o.needed} episodes",
        )
        for o in outcomes
    )
    return Panel(title, label, svg(draw, "difference", label), Table(columns, rows))
