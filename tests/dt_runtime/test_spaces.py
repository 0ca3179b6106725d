"""Environments that do not fit are refused before the first step, with what to do."""

from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
from checkpoints_made_here import save_hugging_face
from dt_runtime import Policy, rollout
from dt_runtime.spaces import check_spaces
from gymnasium import spaces
from oracles import atari

from dt_export.checkpoints import load
from dt_export.exporting import export
from dt_export.facts import Overrides

OBSERVATION, ACTION = spaces.Box(-1, 1, (5,)), spaces.Box(-1, 1, (2,))
CHOICES = spaces.Discrete(4)
GOALS = spaces.Dict({"observation": OBSERVATION, "desired_goal": spaces.Box(-1, 1, (3,))})


@pytest.fixture(scope="module")
def policies(policy_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("discrete")
    path = save_hugging_face(folder / "hf", act_dim=4, action_tanh=False)
    flags = Overrides(discrete=True, context_length=6)
    export(load(str(path), flags), "onnx", folder / "discrete.onnx", validate=False)
    weights = atari.state_dict(np.random.default_rng(0), atari.Options())
    path = atari.save(folder / "atari", weights, atari.Options())
    export(load(str(path), Overrides(n_head=2)), "onnx", folder / "frames.onnx", validate=False)
    return {
        "continuous": Policy(policy_file),
        "discrete": Policy(folder / "discrete.onnx"),
        "frames": Policy(folder / "frames.onnx"),
    }


def environment(observation=OBSERVATION, action=ACTION):
    return SimpleNamespace(observation_space=observation, action_space=action)


FLATTEN = "wrap the environment in gymnasium.wrappers.FlattenObservation"
MISFITS = (
    ("continuous", GOALS, ACTION, rf"a Dict of 'desired_goal', 'observation'.*\(5,\): {FLATTEN}"),
    ("continuous", spaces.Tuple((OBSERVATION,)), ACTION, rf"observation is Tuple.*{FLATTEN}"),
    ("continuous", spaces.Discrete(16), ACTION, rf"observation is Discrete\(16\).*{FLATTEN}"),
    ("continuous", spaces.MultiBinary(5), ACTION, r"observation is MultiBinary\(5\)"),
    ("continuous", spaces.Text(9), ACTION, r"observation is Text\(.*a Box of \(5,\)$"),
    ("continuous", spaces.Box(-1, 1, (6,)), ACTION, r"observation has shape \(6,\).*\(5,\)"),
    ("continuous", OBSERVATION, spaces.Box(-1, 1, (3,)), r"action has shape \(3,\).*\(2,\)"),
    ("continuous", OBSERVATION, CHOICES, r"action is Discrete\(4\).*gives a Box of \(2,\)"),
    ("continuous", OBSERVATION, spaces.MultiDiscrete([2, 2]), r"action is MultiDiscrete\(\[2 2\]"),
    ("continuous", OBSERVATION, spaces.MultiBinary(2), r"action is MultiBinary\(2\)"),
    ("continuous", OBSERVATION, spaces.Dict({"arm": ACTION}), "action is a Dict of 'arm'"),
    ("discrete", OBSERVATION, ACTION, r"action is Box\(.*artifact gives Discrete\(4\)"),
    ("discrete", OBSERVATION, spaces.MultiBinary(4), r"action is MultiBinary\(4\).*Discrete\(4\)"),
    ("discrete", OBSERVATION, spaces.MultiDiscrete([4]), r"action is MultiDiscrete\(\[4\]"),
    ("discrete", OBSERVATION, spaces.Discrete(3), "has 3 actions, but the artifact 4"),
    ("discrete", OBSERVATION, spaces.Discrete(4, start=1), "from 1.*from 0.*TransformAction"),
    ("frames", spaces.Box(0.0, 1.0, (4, 84, 84)), CHOICES, "is float32.*frames of uint8"),
)  # fmt: skip


@pytest.mark.parametrize(("policy", "observation", "action", "words"), MISFITS)
def test_spaces_that_no_policy_of_this_contract_can_use(
    policies, policy, observation, action, words
):
    policy = policies[policy]
    if policy.contract.state.shape == (4, 84, 84):
        action = spaces.Discrete(policy.contract.action.size)
    with pytest.raises(ValueError, match=words):
        check_spaces(policy, environment(observation, action))


def test_spaces_that_fit(policies):
    check_spaces(policies["continuous"], environment())
    check_spaces(policies["discrete"], environment(action=CHOICES))
    frames, choices = policies["frames"], policies["frames"].contract.action.size
    pixels = spaces.Box(0, 255, (4, 84, 84), np.uint8)
    check_spaces(frames, environment(pixels, spaces.Discrete(choices)))


def test_a_vector_environment_is_checked_by_one_of_its_environments(policies):
    env = SimpleNamespace(
        num_envs=2,
        single_observation_space=GOALS,
        single_action_space=ACTION,
        observation_space=None,
        action_space=None,
    )
    with pytest.raises(ValueError, match=r"gymnasium.wrappers.vector.FlattenObservation"):
        rollout(policies["continuous"], env)


def test_what_the_message_says_helps(policies):
    """An environment of goals, flattened, fits a policy of that many numbers."""

    class Goals(gymnasium.Env):
        observation_space, action_space = (
            spaces.Dict({"observation": spaces.Box(-1, 1, (2,)), "goal": spaces.Box(-1, 1, (3,))}),
            ACTION,
        )

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return {"observation": np.zeros(2), "goal": np.ones(3)}, {}

        def step(self, action):
            return {"observation": np.zeros(2), "goal": np.ones(3)}, 1.0, True, False, {}

    (episode,) = rollout(policies["continuous"], gymnasium.wrappers.FlattenObservation(Goals()))
    assert episode.total_return == 1.0


def test_an_environment_without_spaces_is_run_unchecked(policies):
    class Bare:
        def reset(self, *, seed=None):
            return np.zeros(5), {}

        def step(self, action):
            assert action.shape == (2,)
            return np.zeros(5), 1.0, True, False, {}

    (episode,) = rollout(policies["continuous"], Bare())
    assert episode.length == 1


def test_without_spaces_a_wrong_observation_is_still_refused(policies):
    class Longer:
        def reset(self, *, seed=None):
            return np.zeros(6), {}

    with pytest.raises(ValueError, match=r"observation has shape \(6,\), expected \(5,\)"):
        rollout(policies["continuous"], Longer())
