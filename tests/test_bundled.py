"""The bundled policy does what the README's table says, in the real simulator."""

import json

import gymnasium
import numpy as np
import pytest
import torch
from dt_runtime import Policy, rollout

from dt_export.checkpoints import load
from dt_export.checkpoints.presets import BUNDLED
from dt_export.exporting import export
from dt_export.validation.reference import load_transformers

FACTS = json.loads((BUNDLED / "hopper" / "policy.json").read_text())


@pytest.fixture(scope="module")
def hopper_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("hopper") / "hopper.onnx"
    _, report = export(load("hopper"), "onnx", path)
    assert report.passed
    return path


def test_the_preset_knows_everything():
    checkpoint = load("hopper")
    assert checkpoint.notes == checkpoint.warnings == ()
    assert checkpoint.facts.environment == "Hopper-v5"
    assert checkpoint.facts.target_returns[0] == max(checkpoint.facts.target_returns)
    assert checkpoint.facts.action_high == (1.0,) * 3


def test_transformers_reads_it_as_it_is():
    model = load_transformers(BUNDLED / "hopper")
    assert model.config.model_type == "decision_transformer"
    document = (BUNDLED / "hopper" / "config.json").read_text()
    assert "/" not in json.dumps({k: v for k, v in json.loads(document).items() if k != "note"})


@pytest.mark.gate
@pytest.mark.slow
@pytest.mark.parametrize("target", FACTS["target_returns"])
def test_achieved_returns_are_the_recorded_ones(hopper_file, target):
    """Whole episodes in Hopper-v5, as far from the recorded mean as its deviation allows."""
    (recorded,) = (e for e in FACTS["training"]["evaluation"] if e["target"] == target)
    policy, environment = Policy(hopper_file), gymnasium.make("Hopper-v5")
    episodes = rollout(policy, environment, 2, target_return=target, seed=0)
    achieved = np.mean([episode.total_return for episode in episodes])
    assert abs(achieved - recorded["mean"]) <= 3 * recorded["std"] + 0.01 * target


def test_an_episode_is_transformers_own(hopper_file):
    """The loop of the published examples around transformers' model, beside ours, step by step."""
    model, environment = load_transformers(BUNDLED / "hopper"), gymnasium.make("Hopper-v5")
    mean, std = np.float32(FACTS["state_mean"]), np.float32(FACTS["state_std"])
    context, scale, target = FACTS["context_length"], FACTS["return_scale"], 1600.0
    policy = Policy(hopper_file)
    policy.reset(target)
    observation, _ = environment.reset(seed=3)
    states, actions, returns, reward = [], [], [target / scale], None
    for step in range(120):
        states.append((np.float32(observation) - mean) / std)
        window = slice(max(0, step + 1 - context), step + 1)
        inputs = dict(
            states=np.array(states)[window],
            actions=np.array([*actions, np.zeros(3)], np.float32)[window],
            returns_to_go=np.array(returns, np.float32)[window, None],
            timesteps=np.arange(step + 1)[window],
            attention_mask=np.ones(step + 1, np.int64)[window],
        )
        with torch.no_grad():
            out = model(**{name: torch.from_numpy(value)[None] for name, value in inputs.items()})
        due = out.action_preds[0, -1].numpy()
        action = policy.act(observation, reward)
        assert np.abs(action - due).max() <= 1e-5
        actions.append(due)
        observation, reward, *_ = environment.step(due)
        returns.append(returns[-1] - reward / scale)


@pytest.fixture(scope="module")
def int8(tmp_path_factory):
    """graph -> (artifact, report) of its int8 export, which plays 20 episodes of fp32 too."""
    folder = tmp_path_factory.mktemp("int8")
    return {
        graph: export(
            load("hopper"), "onnx", folder / f"{graph}.onnx", graph=graph, precision="int8"
        )
        for graph in ("policy", "step")
    }


@pytest.mark.gate
@pytest.mark.slow
def test_a_step_earns_what_the_exact_window_earns(int8):
    """Default slots, default target, fp32, the same 20 seeds: mean returns within 2 %."""
    policy, step = (int8[graph][1].closed_loop for graph in ("policy", "step"))
    assert len(policy.pairs) == len(step.pairs) == 20
    assert abs(step.expected_mean / policy.expected_mean - 1) <= 0.02


@pytest.mark.gate
@pytest.mark.slow
@pytest.mark.parametrize("graph", ("policy", "step"))
def test_int8_earns_what_fp32_earns(int8, graph):
    """The check of every such export: 20 seeds settle that mean returns are within 2 %."""
    artifact, report = int8[graph]
    (found,) = report.closed_loop.outcomes
    assert found.episodes == 20 and found.verdict == "passed"
    assert max(-found.low, found.high) <= found.margin == 0.02 * found.expected
    assert artifact.contract.validation.episodes == 20
    assert artifact.contract.validation.mean_return == pytest.approx(report.closed_loop.mean)
