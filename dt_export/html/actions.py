"""Actions of eager PyTorch and of the artifact over each other, their difference below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dt_runtime.contract import ActionSpec

from dt_export.html import along, numbers
from dt_export.html.drawing import INK, WIDTH, svg
from dt_export.html.plot import Key, Panel, Plot, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dt_export.validation.closed_loop import ActionTrace

DRAWN = 6  # components
TRACES = 3  # episodes
HEIGHT = 300.0
SMALLEST = 1e-9

Series = Sequence[float]


def plots(traces: Sequence[ActionTrace], baseline: str, action: ActionSpec) -> tuple[Plot, ...]:
    """A plot for each episode, a panel for each component of the action."""
    return tuple(
        _plot(trace, baseline, action, f"actions{number}")
        for number, trace in enumerate(traces[:TRACES])
        if trace.expected and trace.expected[0]
    )


def _plot(trace: ActionTrace, baseline: str, action: ActionSpec, name: str) -> Plot:
    keys = [
        Key("eager", "thick", baseline),
        Key("artifact", "line", "artifact, on the same observations"),
        Key("muted", "line", "difference, artifact - " + baseline),
    ]
    size = len(trace.expected[0])
    panels = [_component(trace, component, action, name) for component in range(min(size, DRAWN))]
    if len(trace.expected) > 1 and action.kind != "discrete":
        panels.append(_along(trace, f"{name}t"))
        if trace.bound:
            keys.append(Key("bound", "dashed", "allowed"))
    note = "" if size <= DRAWN else f"The first {DRAWN} of {size} components of the action."
    title = f"Target {trace.target_return:g}, seed {trace.seed}"
    return Plot(title, tuple(keys), tuple(panels), note)


def _name(action: ActionSpec, component: int) -> str:
    if action.kind == "discrete":
        return "Index of the action"
    named = action.names is not None and component < len(action.names)
    return f"Action {component}" + (
        f": {action.names[component]}" if named and action.names else ""
    )


def _component(trace: ActionTrace, component: int, action: ActionSpec, name: str) -> Panel:
    title, discrete = _name(action, component), action.kind == "discrete"
    expected = [row[component] for row in trace.expected]
    seen = [row[component] for row in trace.seen]
    difference = [b - a for a, b in zip(expected, seen, strict=True)]
    shown = along.stand_out(expected, difference)

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import FuncFormatter, MaxNLocator

        upper = figure.add_axes((52 / WIDTH, 132 / HEIGHT, 296 / WIDTH, 158 / HEIGHT))
        lower = figure.add_axes((52 / WIDTH, 44 / HEIGHT, 296 / WIDTH, 72 / HEIGHT))
        style = "steps-mid" if discrete else "default"
        for series, ink, width in (
            (expected, "eager", 3.2),
            (seen, "artifact", 1.1),
        ):
            upper.plot(
                shown, [series[i] for i in shown], color=INK[ink], linewidth=width,
                drawstyle=style,
            )  # fmt: skip
        lower.plot(shown, [difference[i] for i in shown], color=INK["muted"], linewidth=1.0)
        largest = max((abs(d) for d in difference if math.isfinite(d)), default=0.0) or SMALLEST
        lower.set_ylim(-1.15 * largest, 1.15 * largest)
        lower.yaxis.set_major_locator(_ends(largest))
        lower.yaxis.set_major_formatter(
            FuncFormatter(
                lambda value, _: (
                    "0" if value == 0 else f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
                )
            )
        )
        upper.tick_params(labelbottom=False)
        upper.yaxis.set_major_locator(MaxNLocator(5, integer=discrete))
        lower.set_xlabel("timestep")
        for ax in (upper, lower):
            ax.grid(True, axis="y")
            ax.set_axisbelow(True)
            ax.set_xlim(0, max(1, len(expected) - 1))
            ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))

    worst = max(range(len(difference)), key=lambda i: _size(difference[i]))
    label = (
        f"{title}: {len(expected)} timesteps, worst difference "
        f"{numbers.error(_size(difference[worst]))} at timestep {worst}"
    )
    table = Table(
        ("timestep", "eager", "artifact", "difference"),
        tuple(
            (
                str(i),
                numbers.value(expected[i]),
                numbers.value(seen[i]),
                numbers.error(difference[i]),
            )
            for i in _told(difference)
        ),
    )  # fmt: skip
    note = (
        "The table has the timesteps that differ most." if len(expected) > len(table.rows) else ""
    )
    return Panel(title, label, svg(draw, f"{name}c{component}", label, HEIGHT), table, note)


def _ends(largest: float):  # type: ignore[no-untyped-def]
    from matplotlib.ticker import FixedLocator

    return FixedLocator([-largest, 0.0, largest])


def _size(difference: float) -> float:
    return abs(difference) if math.isfinite(difference) else math.inf


def _told(difference: Series, count: int = 8) -> list[int]:
    """The timesteps that differ most, in order."""
    return sorted(sorted(range(len(difference)), key=lambda i: -_size(difference[i]))[:count])


def _along(trace: ActionTrace, name: str) -> Panel:
    """The worst difference among the components, by timestep."""
    worst = [
        max(_size(b - a) for a, b in zip(*rows, strict=True))
        for rows in zip(trace.expected, trace.seen, strict=True)
    ]
    title = "Worst difference by timestep"
    return along.panel(title, {"muted": worst}, trace.bound, name, HEIGHT)
