"""What validation cannot check, or what the user may choose, is said; the rest is a difference."""

import dataclasses

import pytest

from dt_export.cli.show import comparisons
from dt_export.facts import Overrides
from dt_export.process.terminal import console, one_line
from dt_export.targets import open_artifact
from dt_export.validation import check
from dt_export.validation.differences import contract_differences
from dt_export.validation.pairing import pair


def changed(path, **fields):
    opened = open_artifact(path)
    return dataclasses.replace(opened, contract=dataclasses.replace(opened.contract, **fields))


def test_what_only_the_artifact_knows_is_named(policy_file, checkpoint_path, capsys):
    opened, borrowing = pair(policy_file, str(checkpoint_path), Overrides(), "cpu")
    report = check(opened, borrowing, seed=1)
    assert report.passed
    (note,) = report.notes
    assert note.startswith("taken from the artifact itself, not checked: context_length, return_sc")
    assert "pass --context-length, --return-scale" in note
    console().print(comparisons(report))
    assert "not checked: context_length" in capsys.readouterr().out


@pytest.mark.parametrize("sha256", ("0" * 64, None))
def test_other_weights_are_a_difference(policy_file, checkpoint, sha256):
    opened = open_artifact(policy_file)
    source = dataclasses.replace(opened.contract.source, sha256=sha256)
    report = check(changed(policy_file, source=source), checkpoint, seed=1)
    assert not report.passed
    assert any(difference.startswith("source sha256") for difference in report.differences)


def test_the_environment_is_a_note(policy_file, checkpoint):
    lying = changed(policy_file, environment="Ant-v5\nequal\u2028\u200f")
    report = check(lying, checkpoint, seed=1)
    assert report.passed and len(report.notes) == 1
    assert r"says Ant-v5\nequal\u2028\u200f, the checkpoint says nothing" in report.notes[0]
    assert check(open_artifact(policy_file), checkpoint, seed=1).notes == ()


def test_a_target_return_is_the_checkpoint_s_or_the_user_s(policy_file, checkpoint):
    lying = changed(policy_file, target_returns=(1e30,))
    (difference,) = check(lying, checkpoint, seed=1).differences
    assert difference == (
        "target returns: the artifact's contract says (1e+30,), the checkpoint says (250.0,); if "
        "you chose it at export, pass --target-return"
    )
    assert check(lying, checkpoint, seed=1, targets=(3.0, 1e30)).passed
    (difference,) = contract_differences(
        changed(policy_file, target_returns=()).contract, checkpoint
    )
    assert difference.startswith("target returns: the artifact's contract says nothing")


def test_another_context_length_is_one_difference(step_file, checkpoint):
    """Not one more for every cache, whose size follows from it."""
    opened = open_artifact(step_file)
    (difference,) = contract_differences(opened.contract, checkpoint.with_context_length(7))
    assert difference == "context_length: the artifact's contract says 6, the checkpoint says 7"


@pytest.mark.parametrize("code", (0x061C, 0x200B, 0x200F, 0x2028, 0x2029, 0xFEFF))
def test_no_value_begins_a_line_or_hides(code):
    assert one_line(f"a\n{chr(code)}b") == f"a\\n\\u{code:04x}b"
