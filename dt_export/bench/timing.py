"""Candidates measured in turn, so that all of them see the same machine.

A shared machine's speed drifts by the second. Each turn measures every candidate once, so what
slows the machine slows all of them, and ratios hold. The order within a turn is shuffled: a
candidate that always followed one of its own kind would find its code and weights in the caches,
and the others would not. For the same reason each call that counts follows some uncounted ones
(``primed``) of the same candidate: its figures then do not depend on what ran before it.
"""

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter_ns

import numpy as np

from dt_export.bench.candidate import Candidate
from dt_export.errors import UsageError

WARM_UP = 50  # calls of each candidate before anything is measured
WARM_UP_SECONDS = 0.5  # after which warming up ends early
PRIMED = 3  # uncounted calls before each one that counts
FEWEST = 5  # calls, or turns, that are made however long they take


@dataclass(frozen=True)
class Samples:
    """Seconds of each turn: whole steps, and the engine's run inside each if it is timed."""

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
    """Percentiles of a candidate's seconds, by linear interpolation.

    Raises:
        UsageError: no seconds.
    """
    if len(seconds) == 0:
        raise UsageError("no turn was measured, expected at least 1")
    p50, p95, p99 = (float(value) for value in np.percentile(seconds * 1e6, (50, 95, 99)))
    return Latency(p50, p95, p99, float(seconds.max() * 1e6), len(seconds))


def interleave(
    candidates: Mapping[str, Candidate],
    turns: int,
    *,
    seconds: float | None = None,
    warm_up: int = WARM_UP,
    primed: int = PRIMED,
    on_turn: Callable[[int, int], None] | None = None,
) -> dict[str, Samples]:
    """Measure every candidate once a turn and return the samples by name.

    Args:
        turns: how many.
        seconds: ends the measurement early, though not before a few turns.
        warm_up: calls of each candidate beforehand; slow ones get fewer.
        primed: uncounted calls of a candidate right before the call that counts, as in a control
            loop that does nothing but step. With 0 every candidate finds its weights and code
            where the others left them.
        on_turn: called now and then between turns with (turns done, turns).

    Raises:
        UsageError: fewer than one turn.
    """
    if turns < 1:
        raise UsageError(f"--steps is {turns}, expected at least 1")
    order = list(candidates)
    for name in order:
        _warm(candidates[name], warm_up)
    steps = np.zeros((len(order), turns))
    runs = np.zeros((len(order), turns))
    orders = _shuffled(len(order), turns)
    done, every = 0, max(1, turns // 20)
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()  # a collection in the middle of a step would count as the candidate's
    try:
        start = perf_counter_ns()
        for turn in range(turns):
            for index in orders[turn]:
                candidate = candidates[order[index]]
                step, inner = candidate.step, candidate.runs
                for _ in range(primed):
                    step()
                if inner is not None:
                    inner.clear()
                begin = perf_counter_ns()
                said = step()
                took = perf_counter_ns() - begin
                steps[index, turn] = said if candidate.own_clock else took
                if inner is not None:
                    runs[index, turn] = sum(inner)
                    inner.clear()
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
            None if candidates[name].runs is None else runs[index, :done] * 1e-9,
        )
        for index, name in enumerate(order)
    }


def _shuffled(count: int, turns: int) -> list[list[int]]:
    """An order for each turn; the same ones in every run."""
    rng = np.random.default_rng(0)
    return [rng.permutation(count).tolist() for _ in range(turns)]


def _warm(candidate: Candidate, calls: int) -> None:
    start = perf_counter_ns()
    for call in range(calls):
        if call >= FEWEST and perf_counter_ns() - start > WARM_UP_SECONDS * 1e9:
            break
        candidate.step()
    if candidate.runs is not None:
        candidate.runs.clear()
