"""Statistics of paired returns."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dt_export.errors import UsageError
from dt_export.validation.paired import (
    Allowed,
    confidence_at,
    interval,
    needed,
    parse_allowed,
    t_quantile,
    verdict,
)

# Rounded: the spread of numbers below 1e-154 is nothing in float64.
RETURNS = st.floats(-1e6, 1e6).map(lambda number: round(number, 6))
NUMBERS = st.lists(RETURNS, min_size=2, max_size=50).map(np.array)


@pytest.mark.parametrize(
    ("text", "allowed", "margin"),
    (
        ("2%", Allowed(0.02), 50.0),
        (" 0.5 % ", Allowed(0.005), 12.5),
        ("5", Allowed(5.0, relative=False), 5.0),
        (".5", Allowed(0.5, relative=False), 0.5),
        ("1e2", Allowed(100.0, relative=False), 100.0),
    ),
)
def test_what_is_allowed(text, allowed, margin):
    """Of a mean return of -2500, whose sign does not matter."""
    assert parse_allowed(text) == allowed
    assert allowed.margin(-2500.0) == pytest.approx(margin)


@pytest.mark.parametrize(
    "text", ("", "two", "2 percent", "-1", "%", "nan", "inf", "0", "0%", "1e999")
)
def test_what_is_not_allowed(text):
    with pytest.raises(UsageError) as caught:
        parse_allowed(text)
    assert repr(text) in str(caught.value) and "2%" in str(caught.value)


@pytest.mark.parametrize(
    ("confidence", "freedom", "quantile"),
    ((0.95, 1, 12.7062), (0.95, 2, 4.30265), (0.95, 19, 2.09302), (0.99, 10, 3.16927),
     (0.95, 200, 1.97190), (0.95, 201, 1.97184), (0.999, 1000, 3.30028)),
)  # fmt: skip
def test_quantiles_of_student_s_distribution(confidence, freedom, quantile):
    """From its tables."""
    assert t_quantile(confidence, freedom) == pytest.approx(quantile, rel=1e-5)


@given(NUMBERS)
def test_an_interval_holds_the_mean_and_grows_with_the_confidence(differences):
    narrow, wide = interval(differences, 0.9), interval(differences, 0.99)
    assert wide.low <= narrow.low <= narrow.mean <= narrow.high <= wide.high
    assert (narrow.low == narrow.high) == (np.ptp(differences) == 0)


@given(NUMBERS, st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_larger_margin_never_turns_a_pass_into_a_failure(differences, one, other):
    found, rank = interval(differences), ("failed", "undecided", "passed")
    low, high = (rank.index(verdict(found, margin)) for margin in sorted((one, other)))
    assert low <= high


@given(NUMBERS, st.floats(1e-3, 1e6))
def test_as_many_episodes_as_needed_settle_it(differences, margin):
    found = interval(differences)
    count = needed(found, len(differences), margin)
    if verdict(found, margin) != "undecided":
        assert count == len(differences)
    elif count is not None:
        half = t_quantile(found.confidence, count - 1) * found.spread / math.sqrt(count)
        assert count > len(differences)
        assert half <= abs(margin - abs(found.mean))


def test_equal_differences_are_sure():
    found = interval(np.full(20, 0.1))
    assert (found.low, found.high, found.spread) == (0.1, 0.1, 0.0)
    assert verdict(found, 0.1) == "passed" and verdict(found, 0.05) == "failed"


def test_one_difference_shows_no_spread():
    found = interval(np.zeros(1))
    assert verdict(found, 1e9) == "undecided" and needed(found, 1, 1e9) is None


def test_nothing_is_allowed_of_a_return_of_zero():
    found = interval(np.array([0.0, 1.0]))
    assert verdict(found, Allowed(0.02).margin(0.0)) == "undecided"
    assert verdict(interval(np.zeros(2)), 0.0) == "passed"


@pytest.mark.parametrize("numbers", ((), (1.0, math.nan), (math.inf, 1.0)))
def test_no_interval_without_finite_numbers(numbers):
    with pytest.raises(ValueError, match="finite"):
        interval(np.array(numbers))


@pytest.mark.parametrize("draw", ("normal", "standard_t"))
@pytest.mark.parametrize("count", (5, 20))
def test_intervals_cover_the_true_difference(draw, count):
    """Also where it is heavy-tailed: Student's t with 4 degrees of freedom."""
    rng = np.random.default_rng(0)
    sizes = {"size": (1000, count)} | ({"df": 4} if draw == "standard_t" else {})
    samples = getattr(rng, draw)(**sizes)
    covered = np.mean([found.low <= 0 <= found.high for found in map(interval, samples)])
    assert 0.93 <= covered <= 0.98


def test_repeated_looks_are_wrong_no_more_often_than_one():
    """At the edge of what is allowed, where no look should call it a pass or a failure."""
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(500):
        differences = rng.normal(1.0, 1.0, 160)
        for look, count in enumerate((10, 20, 40, 80, 160), start=1):
            found = interval(differences[:count], confidence_at(look))
            if verdict(found, 1.0) != "undecided":
                wrong += 1
                break
    assert wrong <= 0.05 * 500
    assert sum(1 - confidence_at(look) for look in range(1, 50)) == pytest.approx(0.05)
