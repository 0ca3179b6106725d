"""A control loop at a fixed rate: is every action on time, and how evenly do steps start?"""

from dataclasses import dataclass
from time import perf_counter_ns, sleep

import numpy as np

from dt_export.bench.candidate import Candidate
from dt_export.bench.timing import Latency, latency
from dt_export.errors import UsageError
from dt_export.process import interrupts

SPIN_NS = 300_000  # a sleep ends late by less than that, most of the time
SECOND = 1_000_000_000
MOST_PERIODS = 50_000_000  # 800 MB of figures


@dataclass(frozen=True)
class Paced:
    """The outcome of a paced loop.

    A period is a miss if no action was finished within it: the action came late, or the period was
    over before it could begin. ``late`` is how long after its time a step began, ``act`` how long
    it took. ``busy`` is the fraction of time spent acting.
    """

    key: str
    title: str
    rate: float  # Hz
    seconds: float  # how long the loop ran
    periods: int
    steps: int  # actions taken; a period that was over before it could begin has none
    misses: int
    late: Latency
    act: Latency
    busy: float  # 0 to 1
    interrupted: bool = False  # by Ctrl-C


def paced(candidate: Candidate, key: str, title: str, rate: float, seconds: float) -> Paced:
    """Step a candidate ``rate`` times a second for ``seconds``, on a grid that never shifts.

    Before each period the loop sleeps until shortly before its start and then spins. A step that
    takes more than a period makes the next one late; periods that are wholly over are skipped.
    Ctrl-C ends the loop, and what was measured so far is returned.

    Raises:
        UsageError: the rate and duration give less than one period, or too many to record.
        KeyboardInterrupt: Ctrl-C before the first step was done.
    """
    periods = _periods(rate, seconds)
    period = SECOND / rate
    late, act = np.zeros(periods), np.zeros(periods)
    index = steps = misses = 0
    interrupted = False
    step = candidate.step
    start = perf_counter_ns() + int(period)
    try:
        while index < periods:
            due = start + int(index * period)
            _wait_until(due)
            begin = perf_counter_ns()
            said = step()
            end = perf_counter_ns()
            late[steps] = begin - due
            act[steps] = said if candidate.own_clock else end - begin
            steps += 1
            reached = max(index + 1, int((end - start) / period))
            reached = min(reached, periods)
            on_time = end <= start + int((index + 1) * period)
            misses += reached - index - (1 if on_time else 0)
            index = reached
            if candidate.runs is not None:
                candidate.runs.clear()
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
            f"--rate {rate:g} for --seconds {seconds:g} is {periods} steps, expected at most "
            f"{MOST_PERIODS}: lower either"
        )
    if periods < 1:
        raise UsageError(f"--rate {rate:g} for --seconds {seconds:g} is not one step: raise either")
    return periods


def check(rate: float, seconds: float) -> None:
    """Raise UsageError if a rate and a duration give less than one period, or too many."""
    _periods(rate, seconds)


def _wait_until(due: int) -> None:
    left = due - perf_counter_ns()
    if left > SPIN_NS:
        sleep((left - SPIN_NS) * 1e-9)
    while perf_counter_ns() < due:
        pass
