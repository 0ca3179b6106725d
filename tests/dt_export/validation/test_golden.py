"""Golden episodes hold eager PyTorch's actions, and every right artifact reproduces them."""

import dataclasses
import json
from itertools import pairwise

import numpy as np
import onnx
import pytest
from dt_runtime import OnnxEngine, Policy
from dt_runtime.contract import METADATA_KEY
from dt_runtime.golden import Golden, OtherModelError, replay
from oracles import atari, corl, d3rlpy_numpy, kzl, min_dt, online_dt

from dt_export.checkpoints import load
from dt_export.errors import CheckError, UsageError
from dt_export.exporting import export
from dt_export.facts import Overrides
from dt_export.files.ours import is_report
from dt_export.targets import open_artifact
from dt_export.validation.golden import record

CONTEXT = 6
GRAPHS = ("policy", "step", "sequence")


def contract_of(path):
    return OnnxEngine(path).contract


def acts(golden):
    return [event.act for event in golden.events if event.act is not None]


def values(rows):
    return np.array(rows, np.float64)


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("rows", (1, 2, 3))
def test_every_graph_reproduces_it(artifacts, checkpoint, graph, rows):
    path = artifacts["onnx", graph]
    golden = record(checkpoint, contract_of(path), seed=rows, batch_size=rows)
    result = replay(path, golden)
    assert result.passed, result.first_mismatch
    assert result.acts == 2 * CONTEXT + 5 + 3
    assert 0 < result.max_abs_error <= 1e-5 == result.tolerance


@pytest.mark.parametrize("slots", (1, 2, 4, CONTEXT))
def test_every_number_of_slots(step_file, checkpoint, slots):
    golden = record(checkpoint, contract_of(step_file), slots=slots)
    assert replay(step_file, golden).passed
    lengths = {last - first + 1 for act in acts(golden) for first, last in act.expected.windows}
    assert lengths == set(range(1, CONTEXT + 1))


@pytest.mark.parametrize("target", ("onnx", "torchscript"))
def test_every_target(artifacts, checkpoint, target):
    golden = record(checkpoint, contract_of(artifacts["onnx", "step"]))
    assert replay(open_artifact(artifacts[target, "step"]).engine, golden).passed


SMALL = dict(positions=32)
DIALECTS = {
    "kzl": (kzl, kzl.Options(**SMALL), Overrides(context_length=5), "step"),
    "kzl discrete": (
        kzl,
        kzl.Options(act_dim=4, action_tanh=False, **SMALL),
        Overrides(n_head=2, discrete=True, context_length=5),
        "step",
    ),
    "online-dt": (online_dt, online_dt.Options(**SMALL), Overrides(), "step"),
    "corl": (corl, corl.Options(), Overrides(), "step"),
    "min-dt": (min_dt, min_dt.Options(heads=1), Overrides(), "step"),
    "d3rlpy": (d3rlpy_numpy, d3rlpy_numpy.Options(observation_shape=(5,)), Overrides(), "step"),
    "atari": (atari, atari.Options(), Overrides(n_head=2), "policy"),
    "atari naive": (
        atari,
        atari.Options(model_type="naive"),
        Overrides(n_head=2, returns=False),
        "policy",
    ),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect(name, tmp_path):
    module, options, flags, graph = DIALECTS[name]
    weights = module.state_dict(np.random.default_rng(0), options)
    checkpoint = load(str(module.save(tmp_path / "checkpoint", weights, options)), flags)
    path = tmp_path / "artifact.onnx"
    artifact, _ = export(checkpoint, "onnx", path, graph=graph, validate=False)
    golden = record(checkpoint, artifact.contract)
    assert Golden.from_json(golden.to_json()) == golden
    result = replay(path, golden)
    assert result.passed, result.first_mismatch
    if artifact.contract.action.kind == "discrete":
        check_discrete(golden)


def check_discrete(golden):
    """The index is the likeliest one, by a lead that rounding cannot take away."""
    for act in acts(golden):
        logits = values(act.expected.logits)
        assert logits.argmax(1).tolist() == [int(row[0]) for row in act.expected.actions]
        ordered = np.sort(logits, axis=1)
        scale = np.maximum(1.0, np.abs(logits).max(1))
        assert (ordered[:, -1] - ordered[:, -2] >= 4 * 1e-5 * scale).all()


def test_frames_are_stored_once_each(tmp_path):
    module, options, flags, graph = DIALECTS["atari"]
    weights = module.state_dict(np.random.default_rng(0), options)
    checkpoint = load(str(module.save(tmp_path / "checkpoint", weights, options)), flags)
    path = tmp_path / "atari.onnx"
    artifact, _ = export(checkpoint, "onnx", path, graph=graph, validate=False)
    golden = record(checkpoint, artifact.contract)
    assert len(set(golden.frames)) == len(golden.frames) == 8
    assert all(act.observations is None and len(act.frames) == 2 for act in acts(golden))
    assert len(golden.to_json()) < 9 * 4 * np.prod(artifact.contract.state.shape) / 3 + 100_000


def test_a_choice_that_is_never_clear_is_not_recorded(tmp_path):
    """Every logit the same: any runtime may round to another index."""
    module, options, flags, _ = DIALECTS["kzl discrete"]
    weights = module.state_dict(np.random.default_rng(0), options)
    head = {name: array for name, array in weights.items() if "predict_action" in name}
    for name, array in head.items():
        weights[name] = np.zeros_like(array)
    checkpoint = load(str(module.save(tmp_path / "checkpoint", weights, options)), flags)
    artifact, _ = export(checkpoint, "onnx", tmp_path / "a.onnx", validate=False)
    with pytest.raises(CheckError, match="two best logits are always closer"):
        record(checkpoint, artifact.contract)


@pytest.mark.parametrize("graph", ("policy", "step"))
@pytest.mark.parametrize("precision", ("fp16", "int8"))
def test_smaller_precisions_have_their_own(checkpoint, graph, precision, tmp_path):
    """With a wider tolerance, and going on from eager PyTorch's actions at every step."""
    path = tmp_path / "small.onnx"
    options = dict(graph=graph, precision=precision, validate=False, episodes=0)
    artifact, _ = export(checkpoint, "onnx", path, **options)
    golden = record(checkpoint, artifact.contract)
    assert golden.tolerance == {"fp16": 5e-3, "int8": 5e-2}[precision]
    assert all(act.applied_actions is not None for act in acts(golden)[1:])
    result = replay(path, golden)
    assert result.passed, result.first_mismatch
    assert result.max_abs_error > 1e-5  # it is no fp32


def test_what_happens_in_it(step_file, checkpoint):
    """Everything that a runtime can get wrong happens at least once."""
    golden = record(checkpoint, contract_of(step_file), slots=3)
    resets = [event.reset for event in golden.events if event.reset is not None]
    assert [reset.rows for reset in resets] == [(0, 1), (1,), (0, 1)]
    steps = acts(golden)
    applied = [act.applied_actions is not None for act in steps]
    assert 1 < sum(applied) < len(applied) / 2
    first, last = zip(*(act.expected.windows[0] for act in steps[:-3]), strict=True)
    assert max(last) == 2 * CONTEXT + 4
    assert any(a < b for a, b in pairwise(first))  # a slot began anew
    assert steps[0].rewards is None and steps[1].rewards is not None
    assert [act.expected.timesteps for act in steps[-3:]] == [(0, 0), (1, 1), (2, 2)]
    (middle,) = (
        index
        for index, event in enumerate(golden.events)
        if event.reset and len(event.reset.rows) == 1
    )
    act, target = golden.events[middle + 1].act, golden.events[middle].reset.target_returns[0]
    assert act.rewards[1] != 0 and act.expected.returns_to_go[1] == target  # which is ignored
    assert act.expected.timesteps[0] > act.expected.timesteps[1] == 0


def test_returns_are_exact_in_float32_too(step_file, checkpoint):
    golden = record(checkpoint, contract_of(step_file))
    left = np.zeros(2, np.float32)
    for event in golden.events:
        if event.reset is not None:
            left[list(event.reset.rows)] = event.reset.target_returns
            continue
        act = event.act
        running = values(act.expected.timesteps) > 0
        if act.rewards is not None:
            left = np.where(running, left - np.float32(act.rewards), left)
        assert left.astype(np.float64).tolist() == list(act.expected.returns_to_go)


def test_the_document(step_file, checkpoint, tmp_path):
    """Floats to the bit, the same bytes for the same seed, known as ours."""
    golden = record(checkpoint, contract_of(step_file), seed=4)
    text = golden.to_json()
    assert Golden.from_json(text) == golden and Golden.from_json(text).to_json() == text
    assert record(checkpoint, contract_of(step_file), seed=4).to_json() == text
    assert record(checkpoint, contract_of(step_file), seed=5).to_json() != text
    assert golden.seed == 4
    path = tmp_path / "tiny.golden.json"
    path.write_text(text)
    assert is_report(path) and Golden.read(path) == golden
    assert replay(step_file, path).passed
    for act in acts(golden):
        given = values(act.observations)
        assert np.array_equal(given, given.astype(np.float32))
        assert np.array_equal(values(act.expected.actions), np.float32(act.expected.actions))


def rewritten(path, copy, change):
    model = onnx.load(path)
    change(model)
    onnx.save(model, copy)
    return copy


def scaled(model, factor):
    """The largest weights of the graph, changed."""
    largest = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    array = onnx.numpy_helper.to_array(largest) * np.float32(factor)
    largest.raw_data = array.astype(np.float32).tobytes()


@pytest.mark.parametrize("graph", GRAPHS)
def test_wrong_weights_fail(artifacts, checkpoint, graph, tmp_path):
    path = artifacts["onnx", graph]
    golden = record(checkpoint, contract_of(path))
    copy = rewritten(path, tmp_path / "copy.onnx", lambda model: scaled(model, 1.01))
    result = replay(copy, golden)
    assert not result.passed and result.mismatches > 0
    assert result.max_abs_error > result.tolerance
    assert result.first_mismatch.what == "actions"
    assert str(result.first_mismatch).startswith("event 1, row 0: actions [")


def test_weights_that_are_no_numbers_fail(policy_file, checkpoint, tmp_path):
    golden = record(checkpoint, contract_of(policy_file))
    copy = rewritten(policy_file, tmp_path / "copy.onnx", lambda model: scaled(model, np.nan))
    result = replay(copy, golden)
    assert not result.passed and result.max_abs_error == np.inf
    assert "the output action[0, 0] is nan" in str(result.first_mismatch)


@pytest.mark.parametrize(
    ("field", "value"), (("return_scale", 120.0), ("state", None), ("action", None))
)
def test_a_wrong_contract_of_a_bare_network_fails(artifacts, checkpoint, tmp_path, field, value):
    """Statistics, scales and bounds of a sequence graph are applied by the runtime."""

    def change(model):
        (entry,) = (e for e in model.metadata_props if e.key == METADATA_KEY)
        document = json.loads(entry.value)
        if field == "state":
            document["state"]["mean"][0] += 0.5
        elif field == "action":
            document["action"]["high"] = [0.01, 0.01]
        else:
            document[field] = value
        entry.value = json.dumps(document)

    path = artifacts["onnx", "sequence"]
    golden = record(checkpoint, contract_of(path))
    result = replay(rewritten(path, tmp_path / "copy.onnx", change), golden)
    assert not result.passed and result.first_mismatch.what == "actions"


def test_another_number_of_slots_has_other_windows(step_file, checkpoint):
    golden = record(checkpoint, contract_of(step_file), slots=2)
    result = replay(Policy(step_file, batch_size=2, slots=3), golden)
    assert not result.passed and result.first_mismatch.what == "windows"


def test_a_policy_of_the_caller_is_reset_and_used(step_file, checkpoint):
    golden = record(checkpoint, contract_of(step_file), slots=3)
    policy = Policy(step_file, batch_size=2, slots=3)
    assert replay(policy, golden) == replay(policy, golden)
    assert replay(policy, golden).passed


def test_golden_episodes_of_something_else_are_refused(artifacts, checkpoint):
    golden = record(checkpoint, contract_of(artifacts["onnx", "step"]))
    with pytest.raises(OtherModelError, match=r"recorded for graph = step, .* graph = policy"):
        replay(artifacts["onnx", "policy"], golden)
    with pytest.raises(OtherModelError, match=r"for batch_size = 2, and the policy has .* = 3"):
        replay(Policy(artifacts["onnx", "step"], batch_size=3), golden)
    for field, value in (("source_sha256", "ab" * 32), ("context_length", 7), ("action_size", 3)):
        other = dataclasses.replace(golden.model, **{field: value})
        with pytest.raises(OtherModelError, match=f"recorded for {field} = {value}"):
            replay(artifacts["onnx", "step"], dataclasses.replace(golden, model=other))


def test_another_precision_needs_a_tolerance(step_file, checkpoint):
    golden = record(checkpoint, contract_of(step_file))
    model = dataclasses.replace(golden.model, precision="int8")
    golden = dataclasses.replace(golden, model=model)
    with pytest.raises(OtherModelError, match=r"precision = int8.*give a tolerance"):
        replay(step_file, golden)
    assert replay(step_file, golden, tolerance=1e-5).passed
    assert not replay(step_file, golden, tolerance=0.0).passed


@pytest.mark.parametrize(
    ("graph", "options", "words"),
    (
        ("policy", dict(slots=2), "slots is 2, and a policy graph has none"),
        ("step", dict(slots=0), "slots is 0, expected 1 to 6"),
        ("step", dict(slots=7), "slots is 7, expected 1 to 6"),
        ("step", dict(batch_size=0), "batch_size is 0, expected at least 1"),
    ),
)
def test_options_that_do_not_exist(artifacts, checkpoint, graph, options, words):
    with pytest.raises(UsageError, match=words):
        record(checkpoint, contract_of(artifacts["onnx", graph]), **options)


def test_the_contract_must_be_the_checkpoint_s(step_file, checkpoint):
    contract = dataclasses.replace(contract_of(step_file), return_scale=7.0)
    with pytest.raises(UsageError, match="not exported from this checkpoint: return_scale"):
        record(checkpoint, contract)
    contract = dataclasses.replace(contract_of(step_file), graph="backbone")
    with pytest.raises(UsageError, match="a backbone graph has no actions to record"):
        record(checkpoint, contract)


@pytest.mark.parametrize("graph", ("policy", "step"))
def test_files_of_fixed_shape(checkpoint, graph, tmp_path):
    path = tmp_path / "static.onnx"
    options = dict(graph=graph, static_batch=3, validate=False)
    artifact, _ = export(checkpoint, "onnx", path, **options)
    golden = record(checkpoint, artifact.contract)
    assert golden.options.batch_size == 3
    assert replay(path, golden).passed
    with pytest.raises(UsageError, match="batch_size is 2, expected 3 for this file"):
        record(checkpoint, artifact.contract, batch_size=2)
