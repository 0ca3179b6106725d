"""A report as Rich tables, no wider than 120 columns."""

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dt_export.bench.paced import Paced
from dt_export.bench.report import Report, Result
from dt_export.bench.sweep import Point
from dt_export.bench.timing import Latency

AXIS_TITLES = {"context_length": "K", "hidden_size": "hidden", "batch": "batch"}
AXIS_AT = {
    "context_length": "hidden 128, batch 1",
    "hidden_size": "K 20, batch 1",
    "batch": "K 20, hidden 128",
}


def report(result: Report) -> RenderableType:
    """Everything: what was measured, the candidates, the paced loops and the sweep."""
    parts: list[RenderableType] = [heading(result), Text(), candidates(result), *footnotes(result)]
    if result.paced:
        parts += [Text(), paced(result.paced)]
    for axis in AXIS_TITLES:
        points = [point for point in result.sweep if point.axis == axis]
        if points:
            parts += [Text(), sweep(axis, points)]
    return Group(*parts)


def heading(result: Report) -> Text:
    model, machine = result.model, result.machine
    versions = ", ".join(f"{k} {v}" for k, v in machine.versions.items() if k != "dt-export")
    return Text.assemble(
        (model.name, "bold"),
        f"  {_count(model.n_layer, 'layer')}, {_count(model.n_head, 'head')}, hidden "
        f"{model.hidden_size}, K {model.context_length}; batch {result.batch}, "
        f"{_count(result.threads, 'thread')}, {_count(result.turns, 'turn')}\n",
        (f"{machine.cpu}, {_count(machine.cores, 'core')}; {versions}", "dim"),
    )


def candidates(result: Report) -> RenderableType:
    """A row for each candidate that was measured, then a line for each that was not."""
    latencies = ("p50 us", "p95 us", "p99 us", "max us", "times\nfaster", "policy\nadds us")
    rest = ("floor\nus", "times\nfloor", "first\naction ms", "peak\nMB", "file\nMB")
    table = _table(("candidate",), latencies + rest)
    for row in result.results:
        if row.step is not None:
            table.add_row(Text(row.title, no_wrap=False), *_cells(row, row.step))
    missing = [
        Text.assemble(f"{row.title}: ", (f"not available: {row.reason}", "yellow"))
        for row in result.results
        if row.step is None
    ]
    return Group(table, *missing)


def footnotes(result: Report) -> list[Text]:
    calls = result.primed
    primed = "each candidate finds its weights and code where the others left them"
    if calls:
        count = "once" if calls == 1 else f"{calls} times"
        primed = f"each candidate is called {count}, uncounted, right before each call that counts"
    lines = [f"one call each per turn, in random order; {primed}"]
    names = {row.key: row.title for row in result.results}
    if result.baseline is not None:
        lines.append(f"times faster: medians, compared with {names[result.baseline]}")
    if result.rates is not None:
        products = ", ".join(f"{v / 1e9:.0f} GFLOP/s {k}" for k, v in result.rates.products.items())
        lines.append(
            f"floor: the longer of weights read once at {result.rates.bandwidth / 1e9:.0f} GB/s "
            f"and products at {products}"
        )
    return [Text(line, style="dim") for line in (*lines, *result.notes)]


def paced(loops: Sequence[Paced]) -> Table:
    """A row for each paced loop; ``late`` is how long after its time a step began."""
    first = loops[0]
    first_columns = ("steps", "misses", "late p50\nus", "late p99\nus", "late max\nus")
    last_columns = ("act p50\nus", "act p99\nus", "act max\nus", "busy")
    heading = f"at {first.rate:g} Hz, period {1e6 / first.rate:.0f} us"
    table = _table((heading,), first_columns + last_columns)
    for loop in loops:
        late = (loop.late.p50_us, loop.late.p99_us, loop.late.max_us)
        act = (loop.act.p50_us, loop.act.p99_us, loop.act.max_us)
        table.add_row(
            loop.title + (" (interrupted)" if loop.interrupted else ""),
            str(loop.steps),
            Text(str(loop.misses), style="red" if loop.misses else "green"),
            *(micros(value) for value in (*late, *act)),
            f"{loop.busy:.1%}",
        )
    return table


def sweep(axis: str, points: Sequence[Point]) -> RenderableType:
    """Medians in microseconds, a row for each candidate and a column for each value."""
    values = list(dict.fromkeys(point.value for point in points))
    name = AXIS_TITLES[axis]
    table = _table(
        (f"p50 us by {name} ({AXIS_AT[axis]})",), [f"{name} {value}" for value in values]
    )
    missing: dict[str, str] = {}
    for title in dict.fromkeys(point.title for point in points):
        row = {point.value: point for point in points if point.title == title}
        if any(point.step for point in row.values()):
            seen = (row[value].step for value in values)
            table.add_row(title, *("" if step is None else micros(step.p50_us) for step in seen))
        for point in row.values():
            if point.reason is not None:
                missing.setdefault(title, point.reason)
    lines = (
        Text.assemble(f"{title}: ", (f"not available: {reason}", "yellow"))
        for title, reason in missing.items()
    )
    return Group(table, *lines)


def micros(value: float) -> str:
    """Microseconds: three digits below a hundred, whole numbers above."""
    return f"{value:.3g}" if value < 99.5 else f"{value:.0f}"


def _cells(row: Result, step: Latency) -> Iterable[str]:
    cold, floor = row.cold, row.floor
    yield from (micros(value) for value in (step.p50_us, step.p95_us, step.p99_us, step.max_us))
    yield "" if row.times_faster is None else f"{row.times_faster:.2f}"
    yield "" if row.overhead_us is None else micros(row.overhead_us)
    yield "" if floor is None else micros(floor.floor_us)
    yield "" if row.distance is None else f"{row.distance:.2f}"
    yield "" if cold is None else micros(cold.first_action_s * 1e3)
    yield "" if cold is None or cold.peak_bytes is None else f"{cold.peak_bytes / 2**20:.0f}"
    yield "" if row.file_bytes is None else f"{row.file_bytes / 1e6:.2f}"


def _table(names: Iterable[str], numbers: Iterable[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in names:
        table.add_column(column, header_style="dim", overflow="fold", vertical="bottom")
    for column in numbers:
        table.add_column(column, header_style="dim", justify="right", no_wrap=True)
    return table


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
