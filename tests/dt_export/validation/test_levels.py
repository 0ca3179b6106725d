"""Bounds come from the model's own rounding, are never arbitrarily wide, and catch small faults."""

import copy
import dataclasses
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dt_export.cli.show import comparisons, verdict
from dt_export.graphs.trials import Case
from dt_export.process.terminal import console
from dt_export.targets import Opened, open_artifact
from dt_export.validation import check
from dt_export.validation.levels import (
    CEILINGS,
    FLOOR,
    WORST,
    Comparison,
    bound_of,
    levels,
    root_mean_square,
)
from dt_export.validation.reference import reference


def compared(output="action", error=0.0, rounding=0.0, count=1000, kind="random", group="all"):
    case = Case(group, 1, 3, kind=kind)
    return Comparison(
        case, output, error, error, 0.0, error,
        rms=error / 2, rounding=rounding, rounding_rms=rounding / 2, count=count,
    )  # fmt: skip


def test_a_bound_is_a_small_multiple_of_the_worst_rounding_of_the_output():
    (action, logits) = levels(
        [compared(rounding=1e-7), compared(rounding=3e-7), compared("logits", rounding=2e-6)],
        "fp32",
        None,
    )
    assert action.bound == pytest.approx(WORST * 3e-7)
    assert logits.bound == pytest.approx(WORST * 2e-6)
    assert action.rounding_rms == pytest.approx(root_mean_square([(0.5e-7, 1), (1.5e-7, 1)]))


def test_extreme_inputs_are_rounded_by_as_much_as_usual_ones_at_least():
    usual, extreme = levels(
        [compared(rounding=3e-7), compared(rounding=1e-7, kind="extreme")], "fp32", None
    )
    assert not usual.extreme and extreme.extreme
    assert extreme.bound == usual.bound
    usual, extreme = levels(
        [compared(rounding=3e-7), compared(rounding=9e-7, kind="extreme")], "fp32", None
    )
    assert (usual.rounding, extreme.rounding) == (3e-7, 9e-7)


@given(rounding=st.floats(0.0, 1e30), precision=st.sampled_from(sorted(CEILINGS)))
def test_a_bound_is_never_nothing_and_never_beyond_its_ceiling(rounding, precision):
    assert FLOOR <= bound_of(rounding, precision) <= CEILINGS[precision]


@given(rounding=st.floats(0.0, 1e30), tolerance=st.floats(0.0, 1.0))
def test_a_tolerance_of_the_user_replaces_all_bounds(rounding, tolerance):
    (level,) = levels([compared(rounding=rounding)], "fp32", tolerance)
    assert level.bound == level.bound_rms == tolerance


@given(st.lists(st.lists(st.floats(-1e3, 1e3), min_size=1), min_size=1))
def test_a_root_mean_square_of_parts_is_that_of_all_numbers(parts):
    means = [(float(np.sqrt(np.mean(np.square(part)))), len(part)) for part in parts]
    whole = np.concatenate([np.array(part) for part in parts])
    assert root_mean_square(means) == pytest.approx(float(np.sqrt(np.mean(whole**2))), abs=1e-9)


@pytest.mark.parametrize("precision", ("fp16", "bf16", "int8"))
def test_smaller_precisions_are_simulated_from_the_weights(checkpoint, policy_file, precision):
    """Rounded products differ from eager's by about what such numbers can hold."""
    contract = open_artifact(policy_file).contract
    runs = [reference(checkpoint, contract, arithmetic=a) for a in ("float64", "fp32", precision)]
    rng = np.random.default_rng(0)
    inputs = {
        "states": rng.standard_normal((4, 6, *contract.state.shape)).astype(np.float32),
        "actions": rng.uniform(-1, 1, (4, 6, contract.action.size)).astype(np.float32),
        "returns_to_go": rng.uniform(0, 300, (4, 6, 1)).astype(np.float32),
        "timesteps": np.tile(np.arange(6), (4, 1)),
        "attention_mask": np.ones((4, 6), np.int64),
    }
    exact, single, small = (run(inputs)["action"] for run in runs)
    assert exact.dtype == np.float64 and single.dtype == np.float32
    rounding, expected = np.abs(single - exact).max(), np.abs(small - exact).max()
    assert 0 < rounding < 1e-6
    low, high = {"fp16": (1e-5, 3e-3), "bf16": (1e-4, 2e-2), "int8": (1e-4, 5e-2)}[precision]
    assert low < expected < high
    # The checkpoint's own model is as it was.
    assert np.array_equal(runs[1](inputs)["action"], single)


def wrapped(opened, change):
    """The artifact with every action changed."""
    return Opened(opened.contract, lambda a: {"action": change(opened.run(a)["action"])}, "cpu")


def test_what_the_old_fixed_tolerance_let_through_is_caught(policy_file, checkpoint):
    """Off by 3e-6: a third of 1e-5, and ten times the rounding."""
    opened = open_artifact(policy_file)
    report = check(wrapped(opened, lambda a: a + np.float32(3e-6)), checkpoint, seed=1)
    assert not report.passed and report.worst.error < 1e-5
    assert check(wrapped(opened, lambda a: a), checkpoint, seed=1).passed


def test_many_small_errors_are_caught_on_the_whole(policy_file, checkpoint):
    """None of them is beyond the bound of a single number."""
    opened = open_artifact(policy_file)
    (level,) = {
        v.bound: v for v in check(opened, checkpoint, seed=1).levels if not v.extreme
    }.values()
    off = np.float32(0.7 * level.bound)
    report = check(wrapped(opened, lambda a: a + off), checkpoint, seed=1)
    drifting = [drift for drift in report.drifts if drift.rms > drift.bound]
    assert drifting and not report.passed
    assert all(drift.rms > 3 * drift.rounding_rms for drift in drifting)


def test_the_table_shows_error_rounding_and_ratio(policy_file, checkpoint, capsys):
    report = check(open_artifact(policy_file), checkpoint, seed=1)
    console().print(comparisons(report))
    console().print(verdict(report))
    out = capsys.readouterr().out
    assert "worst error  rounding  ratio  where" in out
    assert "times the rounding of fp32 (allowed 4;" in out
    console().print(verdict(check(open_artifact(policy_file), checkpoint, seed=1, tolerance=1e-3)))
    assert "(tolerance 1e-03;" in capsys.readouterr().out


def test_a_tolerance_of_nothing_allows_nothing(policy_file, checkpoint):
    report = check(open_artifact(policy_file), checkpoint, seed=1, tolerance=0.0)
    exact = next(replace(c, error=0.0) for c in report.comparisons)
    assert report.share(exact) == 0.0 and report.share(replace(exact, error=1e-9)) == np.inf
    assert not report.passed


def test_an_engine_that_never_answers_is_not_at_a_bound(policy_file, checkpoint):
    opened = open_artifact(policy_file)

    def run(arrays):
        raise RuntimeError("no")

    report = check(Opened(opened.contract, run, "cpu"), checkpoint, seed=1)
    assert report.failures and report.insensitive == ()


def ill_conditioned(checkpoint):
    """All hidden units far from zero: the last norm takes most of the digits away with the mean."""
    model = copy.deepcopy(checkpoint.model)
    with torch.no_grad():
        model.blocks[-1].proj.bias += 1e3
    return dataclasses.replace(checkpoint, model=model)


def test_an_ill_conditioned_network_is_named(checkpoint, policy_file, capsys):
    """It may be off by more than 1e-5 without fault."""
    lying = ill_conditioned(checkpoint)
    opened = open_artifact(policy_file)
    twin = reference(lying, opened.contract)
    report = check(Opened(opened.contract, twin, "cpu"), lying, seed=1)
    assert report.ill_conditioned and not report.failures and not report.drifts
    assert max(level.bound for level in report.levels) > 1e-5
    console().print(comparisons(report))
    assert "this network is ill-conditioned: rounding in float32 alone" in capsys.readouterr().out


def test_outputs_that_are_all_at_their_bounds_are_named(checkpoint, policy_file, capsys):
    """Errors cannot show there, so a check of them says little."""
    model = copy.deepcopy(checkpoint.model)
    with torch.no_grad():
        model.predict_action.weight *= 3e4
    saturated = dataclasses.replace(checkpoint, model=model)
    opened = open_artifact(policy_file)
    twin = reference(saturated, opened.contract)
    report = check(Opened(opened.contract, twin, "cpu"), saturated, seed=1)
    assert report.passed and report.insensitive == ("action",)
    console().print(comparisons(report))
    assert "every action on these inputs is at a bound" in capsys.readouterr().out
    assert check(opened, checkpoint, seed=1).insensitive == ()
