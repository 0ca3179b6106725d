"""Arguments that make no sense, and numbers at the edge of float32, are refused by name."""

import dataclasses
import warnings

import numpy as np
import pytest
from checkpoints_made_here import save_hugging_face
from dt_runtime import OnnxEngine, Policy

from dt_export.checkpoints import load
from dt_export.exporting import export
from dt_export.facts import Overrides

STATE = 5


@pytest.mark.parametrize(
    ("option", "value"),
    (
        *(("temperature", t) for t in ("x", 1j, True, 0, -1.0, float("nan"), float("inf"), [1.0])),
        *(("temperature", t) for t in (10**400,)),
        *(("seed", s) for s in ("a", -1, 0.5, b"1")),
        *(("batch_size", b) for b in (True, 0, 1.0, "1", 10**12, 2**20 + 1, 10**5000)),
        *(("on_fault", f) for f in (None, ["hold"], {})),
    ),
    ids=range(23),
)
def test_options_that_make_no_sense_are_named(option, value, policy_file):
    with pytest.raises(ValueError, match=rf"^{option} is .*, expected ") as caught:
        Policy(policy_file, **{option: value})
    assert len(str(caught.value)) < 200


def test_slots_are_no_truth_value(step_file):
    with pytest.raises(ValueError, match="slots is True, expected 1 to 6"):
        Policy(step_file, slots=True)


@pytest.mark.parametrize("artifact", (None, b"hopper.onnx", 3, object()))
def test_artifacts_are_paths_or_engines(artifact):
    with pytest.raises(TypeError, match=r"artifact is .*, expected the path of an ONNX file"):
        Policy(artifact)


@pytest.mark.parametrize("graph", ("policy", "step"))
def test_rows_beyond_any_memory_are_refused(graph, artifacts):
    engine = OnnxEngine(artifacts["onnx", graph])
    state = dataclasses.replace(engine.contract.state, shape=(2**20,))
    inputs = tuple(
        dataclasses.replace(s, shape=(*s.shape[:-1], 2**20)) if s.name == "states" else s
        for s in engine.contract.inputs
    )
    engine.contract = dataclasses.replace(engine.contract, state=state, inputs=inputs)
    with pytest.raises(ValueError, match=r"batch_size is 65536.* takes \d+\.\d GiB"):
        Policy(engine, batch_size=65536)


@pytest.mark.parametrize("temperature", (1e-30, 1e-300, 5e-324, 1e308))
def test_any_temperature_draws_without_a_warning(temperature, tmp_path):
    path = save_hugging_face(tmp_path / "ck", seed=3, act_dim=4, action_tanh=False)
    checkpoint = load(str(path), Overrides(discrete=True, context_length=6))
    export(checkpoint, "onnx", tmp_path / "policy.onnx", validate=False)
    drawn, likeliest = (
        Policy(tmp_path / "policy.onnx", temperature=t, seed=0) for t in (temperature, None)
    )
    for policy in (drawn, likeliest):
        policy.reset(100.0)
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(4):
            observation = rng.normal(0, 3, STATE)
            indices = [policy.act(observation, 0.0) for policy in (drawn, likeliest)]
            assert indices[0] in range(4)
            if temperature < 1:
                assert indices[0] == indices[1]
                continue
            break


@pytest.fixture
def tight(sequence_file):
    """A bare network whose statistics and scales make large numbers larger still."""
    engine = OnnxEngine(sequence_file)
    contract = engine.contract
    state = dataclasses.replace(contract.state, mean=(0.0,) * STATE, std=(1e-30,) * STATE)
    action = dataclasses.replace(
        contract.action, low=None, high=None, scale=(1e-30,) * 2, offset=(0.0,) * 2
    )
    engine.contract = dataclasses.replace(contract, state=state, action=action)
    engine.contract.check()
    return engine


@pytest.mark.parametrize("rows", (1, 2))
def test_numbers_beyond_float32_in_the_networks_units_are_refused(tight, rows):
    shape = () if rows == 1 else (rows,)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for mode in ("raise", "hold"):
            policy = Policy(tight, batch_size=rows, on_fault=mode)
            policy.reset(100.0)
            reward = 0.0 if rows == 1 else np.zeros(rows)
            policy.act(np.zeros((*shape, STATE)), reward)
            before = policy.timesteps.tolist()
            large = np.full((*shape, 2), 1e20)
            with pytest.raises(
                ValueError, match=r"applied_action\[.*0\] is 1e\+20.*beyond float32"
            ):
                policy.act(np.zeros((*shape, STATE)), reward, applied_action=large)
            assert policy.faults == 0 and policy.timesteps.tolist() == before
            large = np.full((*shape, STATE), 1e20)
            if mode == "raise":
                with pytest.raises(ValueError, match=r"observation\[.*0\] is 1e\+20.*normalised"):
                    policy.act(large, reward)
            else:
                policy.act(large, reward)
            assert policy.faults == 1 and policy.timesteps.tolist() == before


def test_scales_that_no_bound_survives_are_refused(sequence_file):
    contract = OnnxEngine(sequence_file).contract
    action = dataclasses.replace(contract.action, scale=(1e-37, 1.0), offset=(1e3, 0.0))
    with pytest.raises(ValueError, match=r"action.scale\[0\] = 1e-37, too small"):
        dataclasses.replace(contract, action=action).check()
