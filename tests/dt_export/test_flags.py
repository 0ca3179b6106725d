"""The tables of flags: what they say, what they refuse, and that nothing is written down twice."""

import re
from dataclasses import dataclass, fields
from pathlib import Path

import pytest
from dt_runtime.contract import MAX_CONTEXT_LENGTH

from dt_export import facts, options
from dt_export.checkpoints import DIALECTS
from dt_export.checkpoints.settings import ARCHITECTURE
from dt_export.errors import UsageError
from dt_export.facts import FLAGS, Overrides, as_flags
from dt_export.flags import check, flag, flags


@dataclass(frozen=True)
class Table:
    size: int | None = flag("--size", 3, help="A size.", low=1, high=9)
    share: float = flag("--share", 0.5, help="A share.", low=0.0)
    colour: str = flag("--colour", "red", help="A colour.", choices=("red", "blue"))
    loud: bool | None = flag("--loud/--no-loud", help="Loudness.")
    inside: int = 7


def test_fields_without_a_flag_are_left_out():
    assert list(flags(Table)) == ["size", "share", "colour", "loud"]
    assert Table() == Table(3, 0.5, "red", None, 7)


@pytest.mark.parametrize(
    ("values", "message"),
    (
        ({"size": 0}, "--size is 0, expected 1 to 9"),
        ({"size": 10}, "--size is 10, expected 1 to 9"),
        ({"size": 10**5000}, "--size is an integer of 16610 bits, expected 1 to 9"),
        ({"share": -1.0}, "--share is -1.0, expected at least 0.0"),
        ({"share": float("nan")}, "--share is nan, expected at least 0.0"),
        ({"colour": "green"}, "--colour is 'green', expected one of red, blue"),
    ),
)
def test_a_value_that_is_not_allowed(values, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        check(Table(**values))


def test_values_that_are_allowed():
    check(Table())
    check(Table(size=None, share=1e300, colour="blue", loud=False))


@pytest.mark.parametrize(
    ("name", "value", "typed"),
    (
        ("size", 4, "--size 4"),
        ("colour", "a b", "--colour 'a b'"),
        ("loud", True, "--loud"),
        ("loud", False, "--no-loud"),
    ),
)
def test_what_a_user_types(name, value, typed):
    assert flags(Table)[name].given(value) == typed


def test_a_switch_with_two_forms_is_listed_once():
    assert [flags(Table)[name].spelling for name in ("size", "loud")] == ["--size", "--[no-]loud"]


def test_every_fact_has_a_flag():
    assert list(FLAGS) == [field.name for field in fields(Overrides)]


def test_flags_that_repeat_the_overrides():
    overrides = Overrides(
        context_length=4,
        returns=False,
        discrete=True,
        stats=Path("my stats.npz"),
        target_return=3.0,
    )
    typed = "--context-length 4 --discrete --no-returns --stats 'my stats.npz' --target-return 3.0"
    assert as_flags(overrides) == typed


def test_the_architecture_s_flags():
    assert ARCHITECTURE == ("n_head", "activation", "action_tanh", "discrete", "returns")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_dialect_lists_facts_that_exist(dialect):
    assert set(DIALECTS[dialect].FLAGS) <= set(FLAGS)


def test_the_longest_context_is_the_runtime_s():
    assert facts.LONGEST_CONTEXT == MAX_CONTEXT_LENGTH


def test_every_target_takes_what_all_targets_share():
    shared = flags(options.Options)
    for table in (options.OnnxOptions, options.Options):
        assert shared.items() <= flags(table).items()
