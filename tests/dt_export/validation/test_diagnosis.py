"""Which pattern of failures points at which fault; tests/mutations breaks real files."""

import math
from dataclasses import replace

import pytest
from reports_made_here import ROUNDING, contract, passed

from dt_export.graphs import rollouts, windows
from dt_export.validation.diagnosis import diagnose, faults
from dt_export.validation.levels import Comparison, levels
from dt_export.validation.report import Report

WRONG = 0.01


def report_of(cases, wrong, outputs=("action",), factor=None):
    """A report in which ``wrong`` says of a case and an output whether it is off."""
    comparisons = []
    for number, (case, output) in enumerate((c, o) for c in cases for o in outputs):
        off = wrong(case, output)
        expected = 0.1 + number / 1e3
        error = (expected * (factor - 1) if factor else WRONG) if off else ROUNDING
        comparisons.append(
            Comparison(
                case,
                output,
                error,
                error,
                expected,
                expected + error,
                rms=error / 4,
                rounding=ROUNDING,
                rounding_rms=ROUNDING / 4,
                count=60,
            )
        )
    level = levels(comparisons, "fp32", None)
    return Report(contract(), tuple(comparisons), (), level, None, "eager", 7)


def played():
    """The cases of a step graph."""
    of = contract("step")
    context = of.context_length
    for plan in rollouts.rollouts(of):
        for length in range(1, context + 1):
            yield plan.case(length)
            if length > context - math.ceil(context / plan.slots):
                yield plan.case(length, full=True)


WINDOWS = list(windows.cases(contract()))
PLAYED = list(played())
PATTERNS = {
    "numbers": (WINDOWS, lambda c: True),
    "attention": (WINDOWS, lambda c: c.length > 1),
    "late": (WINDOWS, lambda c: c.length > 10),
    "early": (WINDOWS, lambda c: c.length < 5),
    "padding": (WINDOWS, lambda c: c.padding > 0),
    "episode end": (WINDOWS, lambda c: c.kind == "late"),
    "extreme": (WINDOWS, lambda c: c.kind == "extreme"),
    "rows": (WINDOWS, lambda c: c.batch > 1),
    "restart": (PLAYED, lambda c: c.resets),
    "slots": (PLAYED, lambda c: c.full and c.slots > 1),
    "episode end, played": (PLAYED, lambda c: c.kind == "late"),
    "rows, played": (PLAYED, lambda c: c.batch > 1),
    "numbers, played": (PLAYED, lambda c: True),
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_cases_that_fail_point_at_the_fault(pattern):
    cases, wrong = PATTERNS[pattern]
    (fault,) = faults(report_of(cases, lambda case, _: wrong(case)))
    assert fault.kind == pattern.split(",")[0]


def test_what_passes_has_no_fault():
    assert diagnose(passed()) == () and diagnose(passed("step")) == ()


def test_a_constant_factor_is_named():
    (fault,) = faults(report_of(WINDOWS, lambda *_: True, factor=1.5))
    assert fault.kind == "factor" and "1.5 times" in fault.message


def test_the_outputs_that_are_wrong_are_named():
    outputs = ("action", "mu", "log_std")
    first, *_ = faults(report_of(WINDOWS, lambda _, output: output == "log_std", outputs))
    assert first.kind == "outputs" and first.message.startswith("log_std differ")


@pytest.mark.parametrize(
    ("works", "words"),
    (
        (lambda case: case.batch == 1, "only B = 1 works"),
        (lambda case: case.length == 20, "only T = 20 works"),
        (lambda case: False, "no inputs work"),
        (lambda case: case.length < 9, "some sizes work"),
    ),
)
def test_sizes_that_fail_are_named(works, words):
    right = report_of(WINDOWS, lambda *_: False)
    said = "RuntimeError: shape '[2, -1, 11]' is invalid"
    broken = tuple(
        c if works(c.case) else replace(c, error=math.inf, count=0, problem=said)
        for c in right.comparisons
    )
    (fault,) = faults(replace(right, comparisons=broken))
    assert fault.kind == "shape" and words in fault.message and "[2, -1, 11]" in fault.message


def test_a_wrong_fact_says_what_to_check():
    report = replace(passed(), differences=("return_scale: the contract says 1",))
    (fault,) = faults(report)
    assert fault.kind == "contract" and "--return-scale" in fault.message


def test_numbers_that_are_not_finite_are_named():
    right = report_of(WINDOWS, lambda *_: False)
    broken = tuple(replace(c, error=math.inf, rms=math.inf) for c in right.comparisons)
    (said,) = diagnose(replace(right, comparisons=broken))
    assert "not finite" in said
