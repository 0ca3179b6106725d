"""Playing with messages for the user: what is their mistake, and what is a bug in some code."""

import gymnasium
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from dt_export.errors import CheckError, UsageError
from dt_export.evaluation.episodes import play
from dt_export.evaluation.policies import open_policy


class Robot(gymnasium.Env):
    """Two steps, of the tiny checkpoint's sizes; ``fault`` comes at the first."""

    observation_space = gymnasium.spaces.Box(-1, 1, (5,))
    action_space = gymnasium.spaces.Box(-1, 1, (2,))

    def __init__(self, fault=None):
        self.fault, self.steps, self.closed = fault, 0, False

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return np.zeros(5, np.float32), {}

    def step(self, action):
        if self.fault is not None:
            raise self.fault
        self.steps += 1
        return np.zeros(5, np.float32), 1.0, self.steps == 2, False, {}

    def close(self):
        self.closed = True


@pytest.fixture
def policy(policy_file):
    return open_policy(policy_file)


def test_episodes_are_played_and_the_environment_is_closed(policy):
    robot = Robot()
    played = play(policy, robot, 3, 10.0, 0)
    assert [(episode.length, episode.total_return) for episode in played] == [(2, 2.0)] * 3
    assert robot.closed


def test_spaces_of_another_robot(policy):
    class Other(Robot):
        observation_space = gymnasium.spaces.Box(-1, 1, (7,))

    robot = Other()
    with pytest.raises(UsageError, match=r"\(7,\).*\(5,\)"):
        play(policy, robot, 1, 10.0, 0)
    assert robot.closed


def test_no_target_return_anywhere(policy_file, tmp_path):
    model = onnx.load(policy_file)
    (entry,) = model.metadata_props
    assert '"target_returns": [250.0]' in entry.value
    entry.value = entry.value.replace('"target_returns": [250.0]', '"target_returns": []')
    onnx.save(model, tmp_path / "p.onnx")
    with pytest.raises(UsageError, match="target"):
        play(open_policy(tmp_path / "p.onnx"), Robot(), 1, None, 0)


@pytest.mark.parametrize("fault", (ValueError("a bug"), KeyError("a bug")), ids=("value", "key"))
def test_a_bug_of_the_environment_is_not_taken_for_a_mistake_of_the_user(policy, fault):
    robot = Robot(fault)
    with pytest.raises(type(fault), match="a bug"):
        play(policy, robot, 1, 10.0, 0)
    assert robot.closed


@pytest.mark.parametrize(
    ("observation", "reward", "words"),
    (
        (np.zeros(7), 1.0, r"observation has shape \(7,\), expected \(5,\)"),
        (np.full(5, np.nan), 1.0, r"observation\[0\] is nan"),
        (np.zeros(5), float("inf"), "reward is inf"),
    ),
)
def test_an_environment_outside_its_own_spaces(policy, observation, reward, words):
    class Liar(Robot):
        def step(self, action):
            return observation, reward, False, False, {}

    robot = Liar()
    with pytest.raises(UsageError, match=f"environment does not keep to its spaces: {words}"):
        play(policy, robot, 1, 10.0, 0)
    assert robot.closed


def test_an_environment_that_leaves(policy):
    with pytest.raises(UsageError, match=r"called sys.exit, exit code \\x1b\[31m"):
        play(policy, Robot(SystemExit("\x1b[31m")), 1, 10.0, 0)


def test_a_policy_that_puts_out_no_numbers_fails_the_check(policy_file, tmp_path):
    model = onnx.load(policy_file)
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.float32:
            tensor.CopyFrom(numpy_helper.from_array(array * np.float32(np.nan), tensor.name))
    onnx.save(model, tmp_path / "p.onnx")
    with pytest.raises(CheckError, match=r"nan|finite"):
        play(open_policy(tmp_path / "p.onnx"), Robot(), 1, 10.0, 0)


@pytest.mark.parametrize(("slots", "words"), ((2, "slots is 2"), ("many", "slots is 'many'")))
def test_slots_that_a_graph_has_not(policy_file, slots, words):
    with pytest.raises(UsageError, match=words):
        open_policy(policy_file, slots=slots)
