"""One episode: what was played, and what went wrong on which side."""

import numpy as np
import pytest
from environments_made_here import STEPS, Fire, Leaves, NoReward, Robot

from dt_export.evaluation.policies import open_policy
from dt_export.evaluation.watched import watch


@pytest.fixture
def policy(policy_file):
    return open_policy(policy_file)


def test_a_whole_episode(policy):
    seen = watch(policy, Robot(), 250.0, seed=3)
    assert seen.problem is None and seen.length == len(seen.latencies) == STEPS
    assert seen.terminated is False and np.isfinite(seen.total_return)
    robot = Robot()
    assert np.array_equal(seen.first, robot.reset(seed=3)[0])
    total = sum(robot.step(action)[1] for action in seen.actions)
    assert total == pytest.approx(seen.total_return)


class Silent(Robot):
    """A NaN among its observations."""

    def step(self, action):
        state, *rest = super().step(action)
        return state * np.nan, *rest


@pytest.mark.parametrize(
    ("kind", "words", "steps"),
    (
        (Fire, "the environment raised ValueError: the motor is on fire (step 3)", 3),
        (Leaves, "the environment called sys.exit, exit code 0 (step 1)", 1),
        (NoReward, "the return is nan: the environment gave such a reward (step 12)", STEPS),
        (Silent, "the environment does not keep to its spaces: observation[0] is nan, ", 1),
    ),
)
def test_an_environment_that_breaks(policy, kind, words, steps):
    seen = watch(policy, kind(), 250.0, seed=0)
    assert seen.problem.startswith(words) and seen.length == steps


def test_a_policy_that_breaks(policy):
    class Broken:
        batch_size, contract = 1, policy.contract
        returns_to_go = np.zeros(1)

        def reset(self, target_return=None):
            pass

        def act(self, observation, reward=None):
            raise MemoryError("no room\nfor more")

    seen = watch(Broken(), Robot(), 250.0, seed=0)
    assert seen.problem == "the policy raised MemoryError: no room (step 0)"


def test_ctrl_c_passes_through(policy):
    class Interrupted(Robot):
        def step(self, action):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(policy, Interrupted(), 250.0, seed=0)
