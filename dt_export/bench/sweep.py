"""Latency over window length, hidden size and batch, one of them at a time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from dt_export.bench.attempts import Attempt, from_catalogue
from dt_export.bench.candidate import Exports, Setting
from dt_export.bench.catalogue import SWEPT, chosen
from dt_export.bench.synthetic import Sizes, synthetic
from dt_export.bench.timing import Latency, Samples, interleave, latency
from dt_export.checkpoints import Checkpoint
from dt_export.process.interrupts import temporary_folder
from dt_export.process.quiet import quietly

AXES: Mapping[str, tuple[int, ...]] = {
    "context_length": (5, 10, 20, 50, 100),
    "hidden_size": (64, 128, 256, 512),
    "batch": (1, 16, 256),
}
STANDARD = {"context_length": 20, "hidden_size": 128, "batch": 1}  # off the axis that varies
TURNS = 200
SECONDS = 4.0  # the turns of one point end after that


@dataclass(frozen=True)
class Point:
    """One candidate at one value of an axis: whole steps and the engine's runs, or a reason."""

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


def sweep_sizes(
    sizes: Sizes,
    keys: Sequence[str] = SWEPT,
    *,
    axes: Mapping[str, Sequence[int]] = AXES,
    turns: int = TURNS,
    seconds: float = SECONDS,
    threads: int = 1,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> tuple[Point, ...]:
    """Measure candidates on synthetic checkpoints: K at hidden 128, hidden at K 20, batch at both.

    Args:
        sizes: of what no axis changes: states, actions, layers, heads.
        keys: of the catalogue.
        turns: of each point, fewer if they take longer than ``seconds``.
        on_progress: called with (what is done now, points done, points).

    Raises:
        UsageError: a key that is not in the catalogue, or transformers is not installed.
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
            attempts = list(from_catalogue(entries, setting, lambda *_: None))
            say(f"K {place.context_length}, hidden {hidden}, batch {place.batch}")
            measured[place] = _measured(attempts, turns, seconds)
    return tuple(
        _point(axis, value, entry.key, entry.title, measured[place][entry.key])
        for (axis, value), place in places.items()
        for entry in entries
    )


def _weights(
    sizes: Sizes, places: Sequence[_Place], say: Callable[[str], None]
) -> Iterator[tuple[int, Checkpoint, Exports]]:
    """A checkpoint and its exports for each hidden size; the next one removes their files."""
    for hidden in sorted({place.hidden_size for place in places}):
        longest = max(place.context_length for place in places)
        with temporary_folder() as folder:
            checkpoint = synthetic(
                replace(sizes, hidden_size=hidden), longest, folder / "checkpoint"
            )
            exports = Exports(folder, partial(_export_of, say, hidden))
            yield hidden, checkpoint, exports


def _measured(attempts: Sequence[Attempt], turns: int, seconds: float) -> dict[str, Samples | str]:
    """Samples by key, or the reason why there are none."""
    ready = {a.key: a.candidate for a in attempts if a.candidate is not None}
    with quietly():  # the episode never ends and outgrows the table of timesteps
        samples = interleave(ready, turns, seconds=seconds)
    return {a.key: samples.get(a.key, a.reason or "") for a in attempts}


def _export_of(say: Callable[[str], None], hidden: int, file: str) -> None:
    say(f"{file}, hidden {hidden}")


def _place(axis: str, value: int) -> _Place:
    return _Place(**(STANDARD | {axis: value}))


def _point(axis: str, value: int, key: str, title: str, seen: Samples | str) -> Point:
    if isinstance(seen, str):
        return Point(axis, value, key, title, reason=seen)
    run = None if seen.run is None else latency(seen.run)
    return Point(axis, value, key, title, latency(seen.step), run)
