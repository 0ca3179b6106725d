"""Validation rejects every broken artifact, says what kind of fault it has, and passes right ones.

A plain run takes one mutant of every kind; ``pytest -m mutations`` takes all of them.
"""

import re

import pytest

from mutations import page
from mutations.catalogue import MUTANTS
from mutations.judging import judge, numbers
from mutations.summary import PROPERTY

SEED = 1
QUICK = dict.fromkeys(mutant.good for mutant in MUTANTS if mutant.quick)


def marked(thing, quick):
    return pytest.param(thing, id=str(thing), marks=pytest.mark.mutations(quick=quick))


def test_names_are_unique():
    assert len({str(mutant) for mutant in MUTANTS}) == len(MUTANTS)


@pytest.fixture(scope="module")
def right(shelf):
    """What validation sees in a right artifact, once for all mutants of it."""
    seen = {}

    def look(good):
        if good not in seen:
            made = shelf.take(good)
            seen[good] = judge(made, made.path, SEED).report
        return seen[good]

    return look


@pytest.mark.parametrize("good", QUICK, ids=str)
def test_a_right_artifact_passes(good, shelf):
    """The others, with more seeds, are in test_false_alarms.py."""
    made = shelf.take(good)
    verdict = judge(made, made.path, SEED)
    assert verdict.passed and not verdict.faults, verdict.said


@pytest.mark.parametrize("mutant", [marked(mutant, mutant.quick) for mutant in MUTANTS])
def test_a_broken_artifact_is_rejected(mutant, shelf, right, tmp_path, record_property):
    made = shelf.take(mutant.good)
    path = tmp_path / made.path.name
    mutant.breaks(made, path)
    assert path.read_bytes() != made.path.read_bytes()
    verdict = judge(made, path, SEED)
    if verdict.report is not None and verdict.report.comparisons and not mutant.same_numbers:
        seen = numbers(verdict.report)
        assert seen != numbers(right(mutant.good)), "this mutant cannot be seen"
    record_property(
        PROPERTY, (str(mutant), mutant.kinds[0], mutant.survives or "", not verdict.passed)
    )
    if mutant.survives is not None:
        assert verdict.passed, "validation rejects it now: it is no survivor any more"
        return
    assert not verdict.passed
    assert set(verdict.kinds) & set(mutant.kinds), verdict.said
    assert re.search(mutant.words, verdict.said), verdict.said


def test_the_page_lists_every_mutant():
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.written(text) == text, "run `python -m mutations.page` in tests/"
