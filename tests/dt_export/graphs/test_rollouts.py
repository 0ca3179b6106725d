"""Which rollouts validate a step graph, and that each one of them finds its fault."""

import pytest
from dt_runtime import Policy

from dt_export.exporting import export
from dt_export.graphs import GRAPHS
from dt_export.graphs.rollouts import rollouts
from dt_export.targets import open_artifact
from dt_export.targets.contract import contract_of
from dt_export.validation import check


def plans(checkpoint, sizes, **producer):
    kind = GRAPHS["step"]
    names = kind.output_names(checkpoint.model.config)
    return list(rollouts(contract_of(checkpoint, kind, names, producer, sizes=sizes)))


def test_a_free_file_is_played_with_one_row_and_with_three(checkpoint):
    made = plans(checkpoint, {})
    assert {(p.batch, p.resets) for p in made} >= {(1, False), (3, True)}
    assert {p.slots for p in made} == {1, 2, 3, 4, 6}


@pytest.mark.parametrize("batch", (1, 2))
def test_a_fixed_file_is_played_as_it_is_and_rows_begin_anew_in_it(checkpoint, batch):
    made = plans(checkpoint, {"batch": batch, "slots": 4})
    assert {(p.batch, p.slots) for p in made} == {(batch, 4)}
    assert any(p.resets for p in made)


def test_a_compiled_policy_is_one_row_of_any_number(checkpoint):
    made = plans(checkpoint, {"batch": 1, "slots": 2}, prefix="tiny")
    assert {p.batch for p in made} == {1, 3} and {p.slots for p in made} == {2}
    assert any(p.resets for p in made)


def test_a_fixed_file_of_one_row_passes(checkpoint, tmp_path):
    _, report = export(checkpoint, "onnx", tmp_path / "one.onnx", graph="step", static_batch=1)
    assert report.passed
    assert "episodes that begin anew" in {c.case.group for c in report.comparisons}


def test_episodes_that_begin_anew_find_a_reset_that_leaves_the_past(
    checkpoint, tmp_path, monkeypatch
):
    """Only the one case fails where a policy of one row goes on after a reset."""
    path = tmp_path / "one.onnx"
    export(checkpoint, "onnx", path, graph="step", static_batch=1, validate=False)
    reset = Policy.reset

    def forgetful(policy, target_return=None, rows=None):
        before = policy._past
        reset(policy, target_return, rows)
        if before.started and before.elapsed > 0:
            policy._past = policy._past._replace(elapsed=before.elapsed)

    monkeypatch.setattr(Policy, "reset", forgetful)
    report = check(open_artifact(path), checkpoint, seed=0)
    wrong = {c.case.group for c in report.comparisons if c.error > 1e-5}
    assert wrong == {"episodes that begin anew"}
