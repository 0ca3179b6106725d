"""A check that cannot fail is no check: every kind of wrong file is caught and named."""

import dataclasses
import json

import numpy as np
import onnx
import pytest
from checkpoints_made_here import save_hugging_face
from dt_runtime import Contract
from onnx import numpy_helper

from dt_export.checkpoints import Overrides, load
from dt_export.errors import UsageError
from dt_export.graphs.windows import cases, inputs
from dt_export.targets import Opened, open_artifact
from dt_export.validation import check
from dt_export.validation.pairing import pair


@pytest.mark.parametrize("reference", ("eager", "transformers"))
@pytest.mark.parametrize("graph", ("policy", "sequence"))
@pytest.mark.parametrize("target", ("onnx", "torchscript"))
def test_good_artifacts_pass(artifacts, checkpoint, target, graph, reference):
    report = check(
        open_artifact(artifacts[target, graph]), checkpoint, seed=1, reference_name=reference
    )
    assert report.passed
    assert report.worst.error < 1e-5


def tampered(path, folder, change, name=""):
    """A copy in which ``change`` was applied to the matrices that have ``name`` in theirs."""
    model = onnx.load(path)
    touched = 0
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.float32 and array.ndim == 2 and name in tensor.name:
            tensor.CopyFrom(numpy_helper.from_array(change(array), tensor.name))
            touched += 1
    assert touched
    onnx.save(model, folder / "tampered.onnx")
    return open_artifact(folder / "tampered.onnx")


@pytest.mark.parametrize(
    ("graph", "name"),
    (
        ("policy", ""),
        ("policy", "predict_action"),
        ("policy", "embed_timestep"),
        ("sequence", ""),
        ("sequence", "embed_timestep"),
    ),
)
def test_one_percent_of_the_weights_is_caught(artifacts, checkpoint, tmp_path, graph, name):
    opened = tampered(artifacts["onnx", graph], tmp_path, lambda w: w * np.float32(1.01), name)
    report = check(opened, checkpoint, seed=1)
    assert not report.passed
    failure = report.failures[0]
    assert failure.expected != failure.seen
    assert failure.error > report.level(failure).bound


def test_nan_is_caught(policy_file, checkpoint, tmp_path):
    opened = tampered(policy_file, tmp_path, lambda w: w * np.float32("nan"), "predict_action")
    report = check(opened, checkpoint, seed=1)
    assert not report.passed and report.worst.error == np.inf


def wrapped(opened, run):
    return Opened(opened.contract, run, opened.provider)


def test_a_dropped_padding_mask_is_caught(policy_file, checkpoint):
    opened = open_artifact(policy_file)

    def run(arrays):
        return opened.run(arrays | {"attention_mask": np.ones_like(arrays["attention_mask"])})

    report = check(wrapped(opened, run), checkpoint, seed=1)
    assert {f.case.padding > 0 for f in report.failures} == {True}


def test_a_baked_shape_is_caught_and_named(policy_file, checkpoint):
    opened = open_artifact(policy_file)

    def run(arrays):
        if arrays["states"].shape[:2] != (1, 3):
            raise RuntimeError("Reshape: the input shape is {9}, the requested {3}")
        return opened.run(arrays)

    report = check(wrapped(opened, run), checkpoint, seed=1)
    assert not report.passed
    assert "Reshape" in report.failures[0].problem


def test_a_wrong_shape_is_caught(policy_file, checkpoint):
    opened = open_artifact(policy_file)
    report = check(
        wrapped(opened, lambda a: {"action": opened.run(a)["action"][:, :1]}), checkpoint, seed=1
    )
    assert "shape [1, 1], expected [1, 2]" in report.failures[0].problem


@pytest.mark.parametrize(
    ("change", "words"),
    (
        (dict(context_length=7), "context_length: the artifact's contract says 7"),
        (dict(return_scale=1.0), "return_scale"),
        (dict(max_ep_len=41), "max_ep_len"),
    ),
)
def test_a_contract_that_lies_is_caught(policy_file, checkpoint, change, words):
    opened = open_artifact(policy_file)
    lying = Opened(dataclasses.replace(opened.contract, **change), opened.run, "cpu")
    report = check(lying, checkpoint, seed=1)
    assert not report.passed
    assert any(words in difference for difference in report.differences)


def test_another_robot_is_no_traceback(policy_file, tmp_path):
    other = load(str(save_hugging_face(tmp_path / "ck", state_dim=17, act_dim=6)))
    report = check(open_artifact(policy_file), other, seed=1)
    assert not report.passed and not report.comparisons
    assert any("state size" in difference for difference in report.differences)


def test_the_seed_draws_the_inputs(policy_file, checkpoint):
    contract = open_artifact(policy_file).contract
    case = next(cases(contract))

    def drawn(seed):
        return inputs(contract, case, True, np.random.default_rng(seed))["states"]

    assert np.array_equal(drawn(1), drawn(1))
    assert not np.array_equal(drawn(1), drawn(2))


def test_cases_cover_every_window(policy_file):
    contract = open_artifact(policy_file).contract
    context, every = contract.context_length, list(cases(contract))
    for batch in (1, 3):
        mine = [case for case in every if case.batch == batch]
        assert {case.length for case in mine} >= set(range(1, context + 1))
        assert {case.padding for case in mine if case.length == context} >= set(range(context))
    rng = np.random.default_rng(0)
    late = next(case for case in every if case.kind == "late")
    assert inputs(contract, late, True, rng)["timesteps"].max() == contract.max_ep_len - 1


def test_unknown_facts_come_from_the_artifact(policy_file, checkpoint_path):
    """An artifact made with flags validates without them."""
    opened, checkpoint = pair(policy_file, str(checkpoint_path), Overrides(), "cpu")
    assert checkpoint.facts.context_length == opened.contract.context_length
    assert checkpoint.facts.return_scale == 100.0
    assert check(opened, checkpoint, seed=3).passed


def test_a_flag_that_differs_from_the_artifact_is_a_difference(policy_file, checkpoint_path):
    opened, checkpoint = pair(
        policy_file, str(checkpoint_path), Overrides(return_scale=10.0), "cpu"
    )
    assert not check(opened, checkpoint, seed=3).passed


def test_a_local_checkpoint_must_be_named(policy_file):
    with pytest.raises(UsageError, match=r"--model is missing.*'tiny'"):
        pair(policy_file, None, Overrides(), "cpu")


def test_contract_survives_json(policy_file):
    contract = open_artifact(policy_file).contract
    assert Contract.from_json(contract.to_json()) == contract
    json.loads(contract.to_json())
