"""What is handed over: numbers that float32 can hold, and nothing else."""

import dataclasses
import warnings
from contextlib import suppress
from decimal import Decimal

import numpy as np
import pytest
from dt_runtime import OnnxEngine, OutputError, Policy

STATE, ACTION = 5, 2
MASKED = np.ma.array([0.0, 1.0, 2.0, 3.0, 4.0], mask=[0, 0, 1, 0, 0])
NO_NUMBERS = {
    "dict": {},
    "huge integer": 10**400,
    "longer than can be written": 10**5000,
    "complex": 1j,
    "complex array": np.zeros(STATE, complex),
    "masked": MASKED,
    "masked, but nothing is": np.ma.zeros(STATE),
    "date": np.datetime64("2026-01-01"),
    "dates": np.zeros(STATE, "datetime64[s]"),
    "durations": np.zeros(STATE, "timedelta64[s]"),
    "text": "left",
    "texts": ["1.0"] * STATE,
    "text array": np.array(["1.0"] * STATE),
    "bytes": b"12345",
    "objects": np.array([1.0] * STATE, object),
    "decimals": [Decimal(1)] * STATE,
    "ragged": [[1.0], [1.0, 2.0]],
    "function": len,
    "structured": np.zeros(STATE, "f4,f4"),
}


@pytest.fixture(autouse=True)
def no_warning_leaks():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture(params=("policy", "step", "sequence"))
def policies(request, artifacts):
    """Two that have begun an episode."""
    both = [Policy(artifacts["onnx", request.param]) for _ in range(2)]
    for policy in both:
        policy.reset(100.0)
        policy.act(np.ones(STATE))
    return both


def check_nothing_moved(policies):
    policy, twin = policies
    assert policy.returns_to_go.tolist() == twin.returns_to_go.tolist()
    for _ in range(3):
        given = np.ones(STATE), 2.0
        assert np.array_equal(policy.act(*given), twin.act(*given))


@pytest.mark.parametrize("value", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_what_is_no_number_is_refused_by_name(policies, value):
    policy = policies[0]
    with pytest.raises(ValueError, match=r"^observation "):
        policy.act(value, 1.0)
    with pytest.raises(ValueError, match=r"^reward "):
        policy.act(np.ones(STATE), value)
    with pytest.raises(ValueError, match=r"^applied_action "):
        policy.act(np.ones(STATE), 1.0, applied_action=value)
    with pytest.raises(ValueError, match=r"^target_return "):
        policy.reset(value)
    with pytest.raises(ValueError, match=r"^rows "):
        policy.reset(1.0, rows=value)
    check_nothing_moved(policies)


BEYOND = (1e39, -1e39, 1e300, float("inf"), float("nan"), np.float64(1e39), np.longdouble("1e400"))


@pytest.mark.parametrize("value", BEYOND)
def test_what_float32_cannot_hold_is_refused_by_name(policies, value):
    policy = policies[0]
    for entries in (np.full(STATE, value), [0.0] * 4 + [value], np.array([0, 0, value, 0, 0])):
        with pytest.raises(ValueError, match=r"^observation\[\d\] is .*(nan|inf|e\+)"):
            policy.act(entries, 1.0)
    with pytest.raises(ValueError, match=r"^reward is .*(nan|inf|e\+)"):
        policy.act(np.ones(STATE), value)
    with pytest.raises(ValueError, match=r"^applied_action\[1\] is "):
        policy.act(np.ones(STATE), 1.0, applied_action=[0.0, value])
    with pytest.raises(ValueError, match=r"^target_return is .*float32"):
        policy.reset(value)
    check_nothing_moved(policies)


def test_a_return_to_go_that_runs_away_is_refused(policies):
    """Every reward is a float32, and their sum is not."""
    policy = policies[0]
    policy.reset(3e38)
    for each in policies[1:]:
        each.reset(3e38)
    observation = np.zeros(STATE)
    try:
        policy.act(observation)
    except OutputError:  # the network overflows, which is another matter
        return
    with pytest.raises(ValueError, match=r"reward is -3e\+38: the return-to-go would be 6e\+38"):
        policy.act(observation, -3e38)


@pytest.mark.parametrize("scale", (100.0, 1e-20))
def test_targets_are_representable_before_and_after_the_scale(policy_file, scale):
    engine = OnnxEngine(policy_file)
    engine.contract = dataclasses.replace(engine.contract, return_scale=scale)
    policy = Policy(engine)
    limit = 3.4028234663852886e38 * min(1.0, scale)
    policy.reset(limit)
    with pytest.raises(ValueError, match=r"target_return is .* at most"):
        policy.reset(limit * 1.001)
    with pytest.raises(ValueError, match=r"target_return is .* at most"):
        policy.reset(-limit * 1.001)
    assert policy.returns_to_go.tolist() == [limit]


@pytest.mark.parametrize(
    ("rows", "words"),
    (
        ([0.9], r"rows is \[0\.9\], expected indices or a boolean mask"),
        ([1, 1], r"rows is \[1, 1\], expected each row once"),
        ([3], r"rows is \[3\], expected 0 to 2"),
        ([2**63], "rows is .*, expected 0 to 2"),
        ([[0], [1]], "expected indices or a boolean mask"),
        (np.array([[True, False, True]]), r"rows has shape \(1, 3\)"),
        (np.array([np.nan]), "expected indices"),
    ),
)
def test_rows_that_do_not_exist(policy_file, rows, words):
    policy = Policy(policy_file, batch_size=3)
    policy.reset(5.0)
    with pytest.raises(ValueError, match=words):
        policy.reset(1.0, rows=rows)
    assert policy.returns_to_go.tolist() == [5.0] * 3


@pytest.mark.parametrize("rows", ([], np.zeros(0), np.zeros(3, bool), ()))
def test_no_rows_are_no_reset(policy_file, rows):
    policy = Policy(policy_file, batch_size=3)
    policy.reset(5.0)
    policy.act(np.zeros((3, STATE)))
    policy.reset(1.0, rows=rows)
    assert policy.returns_to_go.tolist() == [5.0] * 3
    assert policy.timesteps.tolist() == [0] * 3


@pytest.mark.parametrize(
    "alike",
    (
        np.arange(STATE, dtype=np.float32),
        np.arange(STATE, dtype=np.float16),
        np.arange(STATE, dtype=np.longdouble),
        np.arange(STATE, dtype=">f8"),
        np.arange(STATE),
        np.arange(STATE, dtype=np.uint8),
        np.arange(2 * STATE, dtype=float)[::2] / 2,
        [0.0, 1.0, 2.0, 3.0, 4.0],
        (0, 1, 2, 3, 4),
    ),
)
def test_numbers_of_any_kind_are_the_same_observation(policies, alike):
    policy, twin = policies
    plain = np.arange(STATE, dtype=float)
    assert np.array_equal(policy.act(alike, np.float64(1.0)), twin.act(plain, 1.0))
    assert np.array_equal(policy.act(alike, np.array([1])), twin.act(plain, 1.0))
    assert np.array_equal(policy.act(alike, 1), twin.act(plain, 1.0))
    assert policy.returns_to_go.tolist() == twin.returns_to_go.tolist() == [97.0]


def test_the_largest_float32_is_no_fault(policies):
    """Nor does looking at it make NumPy warn; what the network makes of it is its own affair."""
    for value in (np.float32(3e38), 3e38):
        with suppress(OutputError):
            policies[0].act(np.full(STATE, value), 1.0)


@pytest.mark.parametrize("size", (1.5, "2", None))
def test_batch_sizes_that_are_no_number(policy_file, size):
    with pytest.raises(ValueError, match="batch_size is"):
        Policy(policy_file, batch_size=size)
