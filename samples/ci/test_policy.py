"""Tests of an exported policy with the pytest plugin that comes with dt-export.

pytest test_policy.py --dt-artifact policy.onnx --dt-model checkpoints/robot
"""

import numpy as np


def test_it_equals_its_checkpoint(dt_artifact):
    assert dt_artifact.validate().passed


def test_it_is_what_the_robot_expects(dt_artifact):
    """Facts of your robot, written down once more: a contract of another one must not pass."""
    contract = dt_artifact.contract
    assert contract.graph in ("policy", "step")
    assert contract.return_scale > 0


def test_actions_are_finite_and_within_their_bounds(dt_policy):
    contract, rng = dt_policy.contract, np.random.default_rng(0)
    dt_policy.reset(target_return=1000.0)
    reward = None
    for _ in range(2 * contract.context_length + 1):
        action = dt_policy.act(rng.normal(size=contract.state.shape), reward)
        assert np.isfinite(action).all()
        if contract.action.low is not None:
            assert (action >= contract.action.low).all()
            assert (action <= contract.action.high).all()
        reward = 1.0


def test_the_same_episode_gives_the_same_actions(dt_artifact):
    one, two = dt_artifact.policy(), dt_artifact.policy()
    observation = np.zeros(one.contract.state.shape)
    for policy in (one, two):
        policy.reset(target_return=1000.0)
    assert (one.act(observation) == two.act(observation)).all()
