"""A control loop at a fixed rate: does every action come in time, and how evenly do steps start."""

from dataclasses import dataclass
from time import perf_counter_ns, sleep

import numpy as np

from dt_export.bench.side import Side
from dt_export.bench.timing import Latency, latency
from dt_export.errors import UsageError
from dt_export.process import interrupts

SPIN_NS = 300_000  # a sleep ends late by less than that, most of the time
SECOND = 1_000_000_000
MOST_PERIODS = 50_000_000  # 800 MB of figures


@dataclass(frozen=True)
class Paced:
    """What came of a paced loop.

    A period without an action that was finished before the next one is a miss, be it that the
    action came late or that the period was over before it could begin. ``late`` is how long after
    its time a step began, ``act`` how long it took. ``busy`` is the part of the time spent acting.
    """

    key: str
    title: str
    rate: float  # Hz
    seconds: float  # that the loop ran
    periods: int
    steps: int  # actions taken; periods that were over before they began have none
    misses: int
    late: Latency
    act: Latency
    busy: float  # 0 to 1
    interrupted: bool = False  # by Ctrl-C, before its time


def paced(side: Side, key: str, title: str, rate: float, seconds: float) -> Paced:
    """Step a side ``rate`` times a second for ``seconds``, on a grid that never shifts.

    Before each period the loop sleeps until shortly before its time and then spins. A step that
    takes more than a period lets the next begin late; periods that are wholly over are left out.
    Ctrl-C ends the loop, and what was measured so far is returned.

    Raises:
        UsageError: a rate or duration that gives not one period.
        KeyboardInterrupt: Ctrl-C before the first step was done.
    """
    periods = _periods(rate, seconds)
    period = SECOND / rate
    late, act = np.zeros(periods), np.zeros(periods)
    index = steps = misses = 0
    interrupted = False
    step = side.step
    start = perf_counter_ns() + int(period)
    try:
        while index < periods:
            due = start + int(index * period)
            _wait_until(due)
            begin = perf_counter_ns()
            step()
            end = perf_counter_ns()
            late[steps], act[steps] = begin - due, end - begin
            steps += 1
            reached = max(index + 1, int((end - start) / period))
            reached = min(reached, periods)
            on_time = end <= start + int((index + 1) * period)
            misses += reached - index - (1 if on_time else 0)
            index = reached
            if side.runs is not None:
                side.runs.clear()
    except KeyboardInterrupt:
        if steps == 0 or not interrupts.take():
            raise
        interrupted = True
    elapsed = (perf_counter_ns() - start) * 1e-9
    late, act = late[:steps] * 1e-9, act[:steps] * 1e-9
    return Paced(
        key=key,
        title=title,
        rate=rate,
        seconds=elapsed,
        periods=index if interrupted else periods,
        steps=steps,
        misses=misses,
        late=latency(late),
        act=latency(act),
        busy=float(act.sum() / elapsed),
        interrupted=interrupted,
    )


def _periods(rate: float, seconds: float) -> int:
    if not 0 < rate < np.inf:
        raise UsageError(f"--rate is {rate:g}, expected a number of steps a second above 0")
    if not 0 < seconds < np.inf:
        raise UsageError(f"--seconds is {seconds:g}, expected a number above 0")
    periods = round(rate * seconds)
    if periods > MOST_PERIODS:
        raise UsageError(
            f"--rate {rate:g} for --seconds {seconds:g} is {periods} steps, and at most "
            f"{MOST_PERIODS} are kept: lower either"
        )
    if periods < 1:
        raise UsageError(f"--rate {rate:g} for --seconds {seconds:g} is not one step: raise either")
    return periods


def check(rate: float, seconds: float) -> None:
    """Raise UsageError if a rate and a duration give not one period."""
    _periods(rate, seconds)


def _wait_until(due: int) -> None:
    left = due - perf_counter_ns()
    if left > SPIN_NS:
        sleep((left - SPIN_NS) * 1e-9)
    while perf_counter_ns() < due:
        pass
