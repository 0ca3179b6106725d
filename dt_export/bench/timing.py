"""Many sides measured in turn, so that all of them see the same machine.

Figures of a shared machine drift by the second. Each turn calls every side once, so what slows the
machine down slows all of them and ratios hold. Turns are shuffled: a side that always came after
one of its own kind would find its code and weights in the caches, and the others would not. For
the same reason a side is called once before the call that counts: its figures then do not depend on
how many others there are.
"""

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter_ns

import numpy as np

from dt_export.bench.side import Side
from dt_export.errors import UsageError

WARM_UP = 50  # calls of each side before anything is measured
WARM_UP_SECONDS = 0.5  # and no longer than that, once it was called a few times
PRIMED = 3
FEWEST = 5  # calls that are made however long they take


@dataclass(frozen=True)
class Samples:
    """Seconds of each turn: whole steps, and the engine's run inside each where there is one."""

    step: np.ndarray  # [turns]
    run: np.ndarray | None = None  # [turns]


@dataclass(frozen=True)
class Latency:
    """Percentiles in microseconds, over ``count`` turns."""

    p50_us: float
    p95_us: float
    p99_us: float
    max_us: float
    count: int


def latency(seconds: np.ndarray) -> Latency:
    """Percentiles of a side's seconds, by linear interpolation.

    Raises:
        UsageError: there is nothing to take percentiles of.
    """
    if len(seconds) == 0:
        raise UsageError("no turn was measured, expected at least 1")
    p50, p95, p99 = (float(value) for value in np.percentile(seconds * 1e6, (50, 95, 99)))
    return Latency(p50, p95, p99, float(seconds.max() * 1e6), len(seconds))


def interleave(
    sides: Mapping[str, Side],
    turns: int,
    *,
    seconds: float | None = None,
    warm_up: int = WARM_UP,
    primed: int = PRIMED,
    on_turn: Callable[[int, int], None] | None = None,
) -> dict[str, Samples]:
    """Call every side once a turn and return the samples by name.

    Args:
        turns: how many.
        seconds: ends the measurement early, after a few turns at least.
        warm_up: calls of each side beforehand; slow ones get fewer.
        primed: calls of a side, uncounted, right before the call that counts: a control loop does
            nothing but step. With 0 every side finds its weights and code where others left them.
        on_turn: called between turns, not often, with (turns done, turns).

    Raises:
        UsageError: fewer than one turn.
    """
    if turns < 1:
        raise UsageError(f"--steps is {turns}, expected at least 1")
    order = list(sides)
    for name in order:
        _warm(sides[name], warm_up)
    steps = np.zeros((len(order), turns))
    runs = np.zeros((len(order), turns))
    orders = _shuffled(len(order), turns)
    done, every = 0, max(1, turns // 20)
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()  # a collection in the middle of a step would be counted as the side's own
    try:
        start = perf_counter_ns()
        for turn in range(turns):
            for index in orders[turn]:
                side = sides[order[index]]
                step = side.step
                for _ in range(primed):
                    step()
                if side.runs is not None:
                    side.runs.clear()
                begin = perf_counter_ns()
                step()
                steps[index, turn] = perf_counter_ns() - begin
                if side.runs is not None:
                    runs[index, turn] = sum(side.runs)
                    side.runs.clear()
            done = turn + 1
            if on_turn is not None and done % every == 0:
                on_turn(done, turns)
            elapsed = perf_counter_ns() - start
            if seconds is not None and done >= FEWEST and elapsed > seconds * 1e9:
                break
    finally:
        if collecting:
            gc.enable()
    return {
        name: Samples(
            steps[index, :done] * 1e-9,
            None if sides[name].runs is None else runs[index, :done] * 1e-9,
        )
        for index, name in enumerate(order)
    }


def _shuffled(count: int, turns: int) -> list[list[int]]:
    """An order for each turn; always the same ones."""
    rng = np.random.default_rng(0)
    return [rng.permutation(count).tolist() for _ in range(turns)]


def _warm(side: Side, calls: int) -> None:
    start = perf_counter_ns()
    for call in range(calls):
        if call >= FEWEST and perf_counter_ns() - start > WARM_UP_SECONDS * 1e9:
            break
        side.step()
    if side.runs is not None:
        side.runs.clear()
