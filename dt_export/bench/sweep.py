"""Latency over window length, hidden size and batch, one of them at a time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dt_export.bench.catalogue import SWEPT, chosen, make, reason
from dt_export.bench.made_up import Sizes, made_up
from dt_export.bench.side import Exports, Setting, Side
from dt_export.bench.timing import Latency, Samples, interleave, latency
from dt_export.checkpoints import Checkpoint
from dt_export.process.interrupts import temporary_folder
from dt_export.process.quiet import quietly

AXES: Mapping[str, tuple[int, ...]] = {
    "context_length": (5, 10, 20, 50, 100),
    "hidden_size": (64, 128, 256, 512),
    "batch": (1, 16, 256),
}
STANDARD = {"context_length": 20, "hidden_size": 128, "batch": 1}  # where no axis says otherwise
TURNS = 200
SECONDS = 4.0  # what the turns of one point may take


@dataclass(frozen=True)
class Point:
    """One side at one value of an axis: whole steps, and the engine's run inside; or a reason."""

    axis: str  # context_length | hidden_size | batch
    value: int
    key: str
    title: str
    step: Latency | None = None
    run: Latency | None = None
    reason: str | None = None


@dataclass(frozen=True)
class _Place:
    context_length: int
    hidden_size: int
    batch: int


def sweep(
    sizes: Sizes,
    keys: Sequence[str] = SWEPT,
    *,
    axes: Mapping[str, Sequence[int]] = AXES,
    turns: int = TURNS,
    seconds: float = SECONDS,
    threads: int = 1,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> tuple[Point, ...]:
    """Measure sides on made-up checkpoints, K at hidden 128, hidden at K = 20, batch at both.

    Args:
        sizes: of everything that no axis changes: states, actions, layers, heads.
        keys: of the catalogue.
        turns: of each point, fewer where ``seconds`` are over.
        on_progress: called with (what is done now, points done, points).

    Raises:
        UsageError: a side that is not in the catalogue, or transformers is not installed.
    """
    entries = chosen(keys)
    places = {(axis, value): _place(axis, value) for axis in axes for value in axes[axis]}
    distinct = sorted(set(places.values()), key=lambda p: (p.hidden_size, p.context_length))
    measured: dict[_Place, dict[str, Samples | str]] = {}

    def say(what: str) -> None:
        if on_progress is not None:
            on_progress(what, len(measured), len(distinct))

    for hidden, checkpoint, exports in _weights(sizes, distinct, say):
        for place in (place for place in distinct if place.hidden_size == hidden):
            setting = Setting(
                checkpoint.with_context_length(place.context_length), exports, place.batch, threads
            )
            sides: dict[str, Side] = {}
            results: dict[str, Samples | str] = {}
            for entry in entries:
                try:
                    sides[entry.key] = make(entry, setting)
                except Exception as error:  # one side that cannot be had must not stop the others
                    results[entry.key] = reason(error)
            say(f"K {place.context_length}, hidden {hidden}, batch {place.batch}")
            with quietly():  # an episode without end outgrows the table of timesteps
                measured[place] = results | interleave(sides, turns, seconds=seconds)
    return tuple(
        _point(axis, value, entry.key, entry.title, measured[place][entry.key])
        for (axis, value), place in places.items()
        for entry in entries
    )


def _weights(
    sizes: Sizes, places: Sequence[_Place], say: Callable[[str], None]
) -> Iterator[tuple[int, Checkpoint, Exports]]:
    """One checkpoint and its exports for each hidden size; files vanish when the next comes."""
    for hidden in sorted({place.hidden_size for place in places}):
        longest = max(place.context_length for place in places)
        with temporary_folder() as folder:
            checkpoint = made_up(replace(sizes, hidden_size=hidden), longest, folder / "checkpoint")
            exports = Exports(folder, lambda file, hidden=hidden: say(f"{file}, hidden {hidden}"))
            yield hidden, checkpoint, exports


def _place(axis: str, value: int) -> _Place:
    return _Place(**(STANDARD | {axis: value}))


def _point(axis: str, value: int, key: str, title: str, seen: Samples | str) -> Point:
    if isinstance(seen, str):
        return Point(axis, value, key, title, reason=seen)
    run = None if seen.run is None else latency(seen.run)
    return Point(axis, value, key, title, latency(seen.step), run)
