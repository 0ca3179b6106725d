"""Turns, their order, and percentiles of numbers that are known."""

import gc

import numpy as np
import pytest

from dt_export.bench.candidate import Candidate
from dt_export.bench.timing import FEWEST, interleave, latency
from dt_export.errors import UsageError


def test_percentiles_of_known_numbers():
    seconds = np.arange(101) * 1e-6  # 0 to 100 us: the percentile p is p
    seen = latency(np.random.default_rng(0).permutation(seconds))
    assert (seen.p50_us, seen.p95_us, seen.p99_us, seen.max_us) == pytest.approx((50, 95, 99, 100))
    assert seen.count == 101


def test_no_numbers_have_no_percentiles():
    with pytest.raises(UsageError, match="no turn"):
        latency(np.array([]))


def test_every_candidate_once_a_turn_in_orders_that_change():
    calls = []
    candidates = {name: Candidate(lambda name=name: calls.append(name)) for name in "abc"}
    samples = interleave(candidates, 30, warm_up=0, primed=0)
    turns = ["".join(calls[begin : begin + 3]) for begin in range(0, 90, 3)]
    assert all(sorted(turn) == ["a", "b", "c"] for turn in turns)
    assert len(set(turns)) > 3
    assert all(samples[name].step.shape == (30,) for name in "abc")
    assert all((samples[name].step > 0).all() for name in "abc")


def test_runs_inside_a_step_are_added_up_and_not_those_of_the_warm_up():
    runs = []
    candidate = Candidate(lambda: runs.extend([1000, 2000]), runs)
    samples = interleave({"a": candidate}, 3, warm_up=2)["a"]
    assert samples.run == pytest.approx(np.full(3, 3e-6))
    assert not runs


def test_a_primed_candidate_is_called_often_and_counted_once():
    calls, runs = [], []

    def step():
        calls.append(1)
        runs.append(len(calls) * 1000)

    samples = interleave({"a": Candidate(step, runs)}, 3, warm_up=0, primed=2)["a"]
    assert len(calls) == 9
    assert samples.run == pytest.approx([3e-6, 6e-6, 9e-6])


def test_a_candidate_without_runs_has_none():
    assert interleave({"a": Candidate(lambda: None)}, 2)["a"].run is None


def test_time_ends_a_measurement_but_not_before_a_few_turns():
    samples = interleave({"a": Candidate(lambda: None)}, 1000, seconds=0.0, warm_up=0)
    assert len(samples["a"].step) == FEWEST


def test_the_collector_rests_while_measuring_and_comes_back():
    seen = []
    assert gc.isenabled()
    interleave({"a": Candidate(lambda: seen.append(gc.isenabled()))}, 2, warm_up=0, primed=0)
    assert seen == [False, False]
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        interleave({"a": Candidate(lambda: 1 / 0)}, 2, warm_up=0)
    assert gc.isenabled()


def test_progress_ends_with_all_turns():
    seen = []
    interleave({"a": Candidate(lambda: None)}, 50, on_turn=lambda *turn: seen.append(turn))
    assert seen[-1] == (50, 50)
    assert len(seen) <= 25


def test_no_turns():
    with pytest.raises(UsageError, match="--steps is 0, expected at least 1"):
        interleave({}, 0)
