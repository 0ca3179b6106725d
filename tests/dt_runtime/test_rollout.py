"""Rollouts in real environments and in any that behave like one."""

import numpy as np
import pytest
from dt_runtime import Policy, rollout


class Corridor:
    """Gymnasium-like: reward 1 a step, over after ``length`` steps, or cut off."""

    def __init__(self, length=10, cut_off=False, state=5, action=2):
        self.length, self.cut_off = length, cut_off
        self.observation_space = type("Box", (), {"shape": (state,)})
        self.action_space = type("Box", (), {"shape": (action,)})
        self.seeds, self.actions = [], []

    def reset(self, *, seed=None):
        self.seeds.append(seed)
        self.steps = 0
        self.rng = np.random.default_rng(seed)
        return self.rng.normal(size=self.observation_space.shape), {}

    def step(self, action):
        self.steps += 1
        self.actions.append(action)
        over = self.steps == self.length
        observation = self.rng.normal(size=self.observation_space.shape)
        return observation, 1.0, over and not self.cut_off, over and self.cut_off, {}


def test_episodes_are_what_happened(policy_file):
    environment, steps = Corridor(10), []
    episodes = rollout(
        Policy(policy_file),
        environment,
        3,
        target_return=50.0,
        seed=7,
        on_step=lambda *now: steps.append(now),
    )
    assert environment.seeds == [7, 8, 9] == [e.seed for e in episodes]
    assert [e.total_return for e in episodes] == [10.0] * 3
    assert [e.length for e in episodes] == [10] * 3 == [len(e.latencies) for e in episodes]
    assert all(e.terminated and e.target_return == 50.0 for e in episodes)
    assert all((e.latencies > 0).all() for e in episodes)
    assert steps[-1] == (2, 10, 10.0)
    assert environment.actions[0].dtype == np.float32


def test_the_same_seed_gives_the_same_actions(policy_file):
    runs = [Corridor(), Corridor()]
    for environment in runs:
        rollout(Policy(policy_file), environment, 2, seed=3)
    assert np.array_equal(runs[0].actions, runs[1].actions)


def test_a_time_limit_is_not_a_termination(policy_file):
    (episode,) = rollout(Policy(policy_file), Corridor(cut_off=True))
    assert not episode.terminated and episode.seed is None
    (episode,) = rollout(Policy(policy_file), Corridor(10), max_steps=4)
    assert not episode.terminated and episode.length == 4


@pytest.mark.parametrize(
    ("environment", "words"),
    (
        (Corridor(state=6), r"observation has shape \(6,\).*expects \(5,\)"),
        (Corridor(action=3), r"action has shape \(3,\).*expects \(2,\)"),
    ),
)
def test_another_robot_s_environment(policy_file, environment, words):
    with pytest.raises(ValueError, match=words):
        rollout(Policy(policy_file), environment)


def test_a_single_environment_needs_a_policy_of_one_row(policy_file):
    with pytest.raises(ValueError, match="batch_size is 2, and this is a single environment"):
        rollout(Policy(policy_file, batch_size=2), Corridor())
