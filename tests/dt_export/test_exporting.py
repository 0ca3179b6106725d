"""A file appears whole and proven, or not at all."""

import re
from dataclasses import replace
from functools import partial

import numpy as np
import onnx as onnx_package
import pytest
import torch
from checkpoints_made_here import save_hugging_face
from dt_runtime import Policy

from dt_export.checkpoints import Overrides, load
from dt_export.errors import UsageError
from dt_export.exporting import ValidationFailedError, _refused, default_path, export
from dt_export.graphs import GRAPHS
from dt_export.graphs.policy import PolicyGraph
from dt_export.options import OnnxOptions
from dt_export.targets import TARGETS
from dt_export.validation import episodes
from dt_export.validation.closed_loop import ClosedLoop, Pair
from dt_export.validation.paired import Allowed


def test_names_of_files(checkpoint):
    def name(suffix, **options):
        return str(default_path(checkpoint, suffix, OnnxOptions(**options)))

    assert name(".onnx") == "tiny.onnx"
    assert name(".pt", graph="sequence") == "tiny_sequence.pt"
    assert name(".onnx", graph="step", precision="int8") == "tiny_step_int8.onnx"
    assert name(".ort", precision="fp16") == "tiny_fp16.ort"


def test_a_graph_that_is_not_equal_is_not_written(checkpoint, tmp_path, monkeypatch):
    def wrong(checkpoint, names, dtype):
        module = PolicyGraph(checkpoint.model, checkpoint.facts, names, dtype)
        module.joint.offset += 0.01
        return module.eval()

    path = tmp_path / "policy.onnx"
    path.write_bytes(b"an older export")
    monkeypatch.setitem(GRAPHS, "policy", replace(GRAPHS["policy"], make=wrong))
    with pytest.raises(ValidationFailedError) as caught:
        export(checkpoint, "onnx", path, force=True)
    assert caught.value.report.failures
    assert path.read_bytes() == b"an older export"
    assert [p.name for p in tmp_path.iterdir()] == ["policy.onnx"]


@pytest.mark.parametrize("error", (KeyboardInterrupt, OSError))
def test_an_interrupted_export_leaves_nothing(checkpoint, tmp_path, monkeypatch, error):
    def interrupted(*args):
        raise error

    monkeypatch.setitem(TARGETS, "onnx", replace(TARGETS["onnx"], trace=interrupted))
    with pytest.raises(error):
        export(checkpoint, "onnx", tmp_path / "policy.onnx")
    assert list(tmp_path.iterdir()) == []


def test_without_validation_the_contract_says_so(checkpoint, tmp_path):
    artifact, report = export(checkpoint, "torchscript", tmp_path / "p.pt", validate=False)
    assert report is None and artifact.contract.validation is None


@pytest.mark.parametrize(
    ("name", "words"),
    (
        ("policy.bin", r"ending in \.onnx"),
        ("no/such/p.onnx", "does not exist"),
        ("d.onnx", "folder"),
    ),
)
def test_places_that_cannot_be_written(checkpoint, tmp_path, name, words):
    (tmp_path / "d.onnx").mkdir()
    with pytest.raises(UsageError, match=words):
        export(checkpoint, "onnx", tmp_path / name)


@pytest.mark.parametrize("graph", ("policy", "step"))
def test_fp16_counts_in_half_between_float_ends(checkpoint, graph, tmp_path):
    path = tmp_path / "half.onnx"
    artifact, report = export(checkpoint, "onnx", path, graph=graph, precision="fp16")
    assert report.passed and report.counted == "fp16" and report.worst.error > 1e-6
    types = {spec.name: spec.dtype for spec in artifact.contract.inputs}
    assert types["states"] == types["actions"] == types["returns_to_go"] == "float32"
    caches = [kind for name, kind in types.items() if name.startswith("past_")]
    assert caches == ["float16"] * (2 * checkpoint.model.config.n_layer if graph == "step" else 0)
    assert artifact.contract.outputs[0].dtype == "float32"
    # The checkpoint itself is left in float32.
    assert all(p.dtype == torch.float32 for p in checkpoint.model.parameters())


def test_a_smaller_precision_that_earns_another_return_fails(checkpoint, tmp_path, monkeypatch):
    """With a limit that any difference breaks, in a real environment."""
    strict = partial(episodes.compare, allowed=Allowed(1e-9))
    monkeypatch.setattr(episodes, "compare", strict)
    sizes = dict(state_dim=11, act_dim=3, n_head=1)
    source = save_hugging_face(tmp_path / "ck", statistics=False, **sizes)
    flags = Overrides(context_length=4, target_return=50.0, environment="Hopper-v5")
    walker = load(str(source), flags)
    with pytest.raises(ValidationFailedError, match=r"int8 earns .* Hopper-v5, fp32 .*allowed 0"):
        export(walker, "onnx", tmp_path / "p.onnx", graph="step", precision="int8", episodes=2)
    assert not (tmp_path / "p.onnx").exists()


def test_an_environment_that_cannot_be_made_is_said(checkpoint, tmp_path):
    facts = replace(checkpoint.facts, environment="hopper-medium-v2")
    known = replace(checkpoint, facts=facts)
    _, report = export(known, "onnx", tmp_path / "p.onnx", precision="int8", episodes=1)
    assert report.passed and report.closed_loop is None
    assert "hopper-medium-v2" in report.not_played
    path = tmp_path / "asked.onnx"
    with pytest.raises(UsageError, match="hopper-medium-v2"):  # what the user typed must be there
        options = dict(precision="int8", episodes=1, environment="hopper-medium-v2")
        export(known, "onnx", path, **options)
    assert not path.exists()


def test_a_step_graph_of_one_environment_is_played(tmp_path):
    """Its first axis counts slots too, and is no batch."""
    source = save_hugging_face(tmp_path / "ck", statistics=False, state_dim=11, act_dim=3, n_head=1)
    flags = Overrides(context_length=4, target_return=50.0, environment="Hopper-v5")
    options = dict(graph="step", precision="fp16", static_batch=1, episodes=1)
    _, report = export(load(str(source), flags), "onnx", tmp_path / "p.onnx", **options)
    assert report.not_played is None and len(report.closed_loop.pairs) > 1  # one settles nothing


def pairs_that_differ(*differences):
    return tuple(
        Pair(seed, 9.0, 100.0, 100.0 + difference, 5, 5, True, True, 0, None)
        for seed, difference in enumerate(differences)
    )


@pytest.mark.parametrize(
    ("differences", "words"),
    (
        ((-4.0,) * 4, r"-4\.0 \(-4\.0 to -4\.0 .*allowed 2\.0 \(2% of the return\); nothing"),
        ((-4.0, 4.0) * 2, r"4 episodes do not settle it, about \d+ would .*--episodes \d+"),
    ),
)
def test_a_refusal_says_what_to_do(differences, words):
    loop = ClosedLoop("Walk", "fp32", 0.02, pairs_that_differ(*differences))
    assert not loop.passed
    message = _refused("int8", loop)
    assert re.search(words, message) and "--precision fp32" in message


@pytest.mark.parametrize(("graph", "batch", "length"), (("policy", 2, 4), ("step", 2, 4)))
def test_fixed_shapes(checkpoint, tmp_path, graph, batch, length):
    path = tmp_path / "fixed.onnx"
    artifact, report = export(
        checkpoint, "onnx", path, graph=graph, static_batch=batch, static_length=length
    )
    contract = artifact.contract
    assert report.passed and contract.context_length == length and contract.batch_size == batch
    assert all(isinstance(a, int) for s in (*contract.inputs, *contract.outputs) for a in s.shape)
    model = onnx_package.load(path)
    axes = [d for v in model.graph.input for d in v.type.tensor_type.shape.dim]
    assert not any(axis.dim_param for axis in axes)
    kinds = {node.op_type for node in model.graph.node}
    assert not kinds & {"Shape", "ConstantOfShape", "Range"}  # nothing is left to compute
    policy = Policy(path, batch_size=batch)
    policy.reset(100.0)
    for reward in (None, np.ones(batch), np.zeros(batch), np.ones(batch), np.ones(batch)):
        assert np.isfinite(policy.act(np.ones((batch, 5)), reward)).all()
    with pytest.raises(ValueError, match=rf"batch_size is 3, and the file was made for {batch}"):
        Policy(path, batch_size=3)
    if graph == "step":
        with pytest.raises(ValueError, match="slots is 2, and the file was made for 4"):
            Policy(path, batch_size=batch, slots=2)


def test_a_window_of_fixed_length_is_exact_for_one_row(checkpoint, tmp_path):
    """Shorter windows are padded, and give the actions of the file with free axes."""
    paths = [tmp_path / name for name in ("free.onnx", "fixed.onnx")]
    length = checkpoint.facts.context_length
    export(checkpoint, "onnx", paths[0], validate=False)
    export(checkpoint, "onnx", paths[1], static_length=length, static_batch=1, validate=False)
    policies, rng = [Policy(path) for path in paths], np.random.default_rng(0)
    for policy in policies:
        policy.reset(100.0)
    for _ in range(length + 3):
        observation = rng.normal(size=5)
        actions = [policy.act(observation, 1.0) for policy in policies]
        assert np.abs(actions[0] - actions[1]).max() <= 1e-5


@pytest.mark.parametrize(
    ("options", "words"),
    (
        (dict(precision="fp8"), "--precision is 'fp8', expected one of fp32, fp16, int8"),
        (
            dict(precision="int8", graph="sequence"),
            "--precision int8 belongs to --graph policy or step, not to sequence",
        ),
        (dict(target="torchscript", precision="fp16"), "expected fp32 for target torchscript"),
        (dict(static_length=7), "--static-length is 7, expected at most K, which is 6"),
        (dict(static_batch=0), "--static-batch is 0, expected at least 1"),
        (dict(format="tflite"), "--format is 'tflite', expected one of onnx, ort"),
        (dict(target="torchscript", format="ort"), "format is not an option of target torchscript"),
    ),
)
def test_combinations_that_do_not_exist(checkpoint, tmp_path, options, words):
    options = dict(options)
    with pytest.raises(UsageError, match=words):
        export(checkpoint, options.pop("target", "onnx"), tmp_path / "p.onnx", **options)


def test_ort_format_is_validated_itself_and_has_its_list_beside(checkpoint, tmp_path):
    path = tmp_path / "policy.ort"
    artifact, report = export(checkpoint, "onnx", path, format="ort")
    (listing,) = artifact.companions
    assert report.passed and artifact.path == path and listing.is_file()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, listing.name])
    assert Policy(path).contract.validation.cases == report.cases
