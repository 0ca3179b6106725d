"""A batch of one: with or without its axis, as the caller likes."""

import numpy as np
import pytest
from dt_runtime import Policy
from oracles import atari

from dt_export.checkpoints import load
from dt_export.exporting import export
from dt_export.facts import Overrides

STEPS = 9  # past K


@pytest.fixture(params=("policy", "step", "sequence"))
def artifact(request, artifacts):
    return artifacts["onnx", request.param]


def play(path, batch, kind=np.asarray):
    """Actions of an episode, everything handed over with the axis of the batch, or nothing."""
    rng, policy, actions = np.random.default_rng(0), Policy(path), []
    policy.reset(100.0)
    reward = applied = None
    for step in range(STEPS):
        observation = rng.normal(size=5)
        given = kind(observation[None]) if batch else observation
        action = policy.act(given, reward, applied_action=applied)
        actions.append(action)
        reward = rng.normal(size=1) if batch else float(rng.normal())
        applied = action * 0.5 if step % 3 == 0 else None  # [1, A] or [A]
    return actions


def test_one_row_with_its_axis_acts_like_one_without(artifact):
    batch, single = play(artifact, True), play(artifact, False)
    assert {action.shape for action in batch} == {(1, 2)}
    assert {action.shape for action in single} == {(2,)}
    assert np.array_equal(np.concatenate(batch), np.stack(single))


def test_lists_have_axes_too(policy_file):
    seen = play(policy_file, True, kind=np.ndarray.tolist)
    assert np.array_equal(np.concatenate(seen), np.stack(play(policy_file, False)))


def test_the_action_belongs_to_the_caller(policy_file):
    policy = Policy(policy_file)
    policy.reset(100.0)
    first = policy.act(np.zeros((1, 5)))
    kept = first.copy()
    policy.act(np.ones((1, 5)), [1.0])
    assert np.array_equal(first, kept)


@pytest.mark.parametrize("mode", ("hold", "zero"))
def test_a_fault_keeps_the_axis(policy_file, mode):
    policy = Policy(policy_file, on_fault=mode)
    policy.reset(100.0)
    action = policy.act(np.zeros((1, 5)))
    still = policy.act(np.full((1, 5), np.nan), [0.0])
    assert still.shape == (1, 2)
    assert np.array_equal(still, action if mode == "hold" else np.zeros((1, 2)))


@pytest.mark.parametrize("shape", ((2, 5), (1, 1, 5), (1, 6), (5, 1), ()))
def test_other_shapes_are_still_refused(policy_file, shape):
    policy = Policy(policy_file)
    policy.reset(100.0)
    with pytest.raises(ValueError, match=r"observation has shape .*, expected \(5,\)"):
        policy.act(np.zeros(shape))


def test_many_rows_do_not_lose_an_axis(policy_file):
    policy = Policy(policy_file, batch_size=2)
    policy.reset(100.0)
    with pytest.raises(ValueError, match=r"expected \(2, 5\)"):
        policy.act(np.zeros((1, 2, 5)))


def test_indices_and_frames(tmp_path):
    """A discrete policy gives [1] indices; one row of frames is [1, 4, 84, 84]."""
    weights = atari.state_dict(np.random.default_rng(0), atari.Options())
    path = atari.save(tmp_path / "atari", weights, atari.Options())
    export(load(str(path), Overrides(n_head=2)), "onnx", tmp_path / "atari.onnx", validate=False)
    batch, single = Policy(tmp_path / "atari.onnx"), Policy(tmp_path / "atari.onnx")
    frames = np.random.default_rng(1).integers(0, 256, (4, *single.contract.state.shape))
    frames = frames.astype(np.uint8)
    for policy in (batch, single):
        policy.reset(3.0)
    for step, frame in enumerate(frames):
        reward = None if step == 0 else 1.0
        alone = single.act(frame, reward, applied_action=None if step != 2 else 1)
        row = batch.act(frame[None], reward, applied_action=None if step != 2 else [1])
        assert np.shape(alone) == () and row.shape == (1,) and row.dtype.kind == "i"
        assert row[0] == alone
