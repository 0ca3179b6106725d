"""A paced loop counts what it should; nothing here depends on how fast the machine is."""

import time

import pytest

from dt_export.bench.candidate import Candidate
from dt_export.bench.paced import paced
from dt_export.errors import UsageError


def test_a_quick_candidate_takes_a_step_each_period():
    calls = []
    seen = paced(Candidate(lambda: calls.append(1)), "a", "A", rate=100, seconds=0.2)
    assert (seen.periods, seen.rate, seen.key, seen.title) == (20, 100, "a", "A")
    assert seen.steps == len(calls) == seen.late.count == seen.act.count
    assert seen.periods - seen.steps <= seen.misses <= seen.periods
    assert seen.late.p50_us >= 0
    assert 0 < seen.busy < 1
    assert not seen.interrupted


def test_a_slow_candidate_misses_every_period():
    """Each step takes two and a half periods, so that no period has an action in time."""
    seen = paced(Candidate(lambda: time.sleep(0.025)), "a", "A", rate=100, seconds=0.2)
    assert seen.misses == seen.periods == 20
    assert 1 <= seen.steps <= 10
    assert seen.act.p50_us >= 25_000
    assert seen.late.max_us > 0


def test_one_slow_step_costs_the_periods_it_covers():
    calls = []

    def step():
        calls.append(1)
        if len(calls) == 3:
            time.sleep(0.055)

    # Periods of 20 ms: two end before the slow step does, and the third begins late.
    seen = paced(Candidate(step), "a", "A", rate=50, seconds=0.4)
    assert seen.misses >= 2
    assert seen.steps <= seen.periods - 1
    assert seen.late.max_us > 0


def test_runs_do_not_pile_up():
    runs = []
    paced(Candidate(lambda: runs.append(1), runs), "a", "A", rate=200, seconds=0.05)
    assert runs == []


def test_interrupted_loops_tell_what_they_saw():
    calls = []

    def step():
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt

    seen = paced(Candidate(step), "a", "A", rate=100, seconds=10)
    assert seen.interrupted
    assert seen.steps == 3
    assert seen.periods >= 3


def test_interrupted_before_the_first_step_is_an_interrupt():
    def step():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        paced(Candidate(step), "a", "A", rate=100, seconds=1)


@pytest.mark.parametrize(
    ("rate", "seconds", "message"),
    [
        (0, 1, "--rate is 0, expected"),
        (float("inf"), 1, "--rate is inf, expected"),
        (100, -1, "--seconds is -1, expected"),
        (1, 0.1, "--rate 1 for --seconds 0.1 is not one step"),
    ],
)
def test_rates_that_give_no_step(rate, seconds, message):
    with pytest.raises(UsageError, match=message):
        paced(Candidate(lambda: None), "a", "A", rate, seconds)
