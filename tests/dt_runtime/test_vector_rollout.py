"""Vector environments: what a row plays is what a single environment would have played."""

import warnings

import gymnasium
import numpy as np
import pytest
from checkpoints_made_here import save_hugging_face
from dt_runtime import Policy, rollout
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from dt_export.checkpoints import load
from dt_export.exporting import export
from dt_export.facts import Overrides

LIMIT = 12  # steps of an episode, and max_ep_len: one step more would be one too many
MODES = tuple(AutoresetMode)
VECTORS = {"sync": SyncVectorEnv, "async": AsyncVectorEnv}


@pytest.fixture(scope="module")
def cartpole_file(tmp_path_factory):
    """Random weights for CartPole, which let the pole fall sooner or later."""
    folder = tmp_path_factory.mktemp("cartpole")
    options = dict(state_dim=4, act_dim=2, max_ep_len=LIMIT, action_tanh=False)
    path = save_hugging_face(folder / "tiny", seed=6, statistics=False, **options)
    np.save(path / "state_mean.npy", np.zeros(4))
    np.save(path / "state_std.npy", np.full(4, 0.02))  # so that the state matters
    flags = Overrides(discrete=True, context_length=6, return_scale=10.0, target_return=50.0)
    artifact, _ = export(load(str(path), flags), "onnx", folder / "tiny.onnx", validate=False)
    return artifact.path


@pytest.fixture(scope="module")
def hopper_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("hopper") / "hopper_step.onnx"
    export(load("hopper"), "onnx", path, graph="step", validate=False)
    return path


def cartpole():
    return gymnasium.make("CartPole-v1", max_episode_steps=LIMIT)


def vector(make, count, mode, kind="sync"):
    return VECTORS[kind]([make] * count, autoreset_mode=mode)


def one_by_one(path, make, count, episodes, mode, seed):
    """The same episodes in single environments, in order."""
    if mode == AutoresetMode.DISABLED:
        return rollout(Policy(path), make(), episodes, seed=seed)
    policy, made = Policy(path), {}
    for row in range(count):
        env, mine = make(), range(row, episodes, count)
        played = rollout(policy, env, 1, seed=seed + row) if mine else []
        played += rollout(policy, env, len(mine) - 1) if len(mine) > 1 else []
        made.update(zip(mine, played, strict=True))
    return [made[index] for index in range(episodes)]


def same(seen, due, tolerance=0.0):
    assert [e.length for e in seen] == [e.length for e in due]
    assert [e.terminated for e in seen] == [e.terminated for e in due]
    assert [e.seed for e in seen] == [e.seed for e in due]
    assert [e.target_return for e in seen] == [e.target_return for e in due]
    returns = [e.total_return for e in due]
    assert [e.total_return for e in seen] == pytest.approx(returns, rel=tolerance, abs=tolerance)


@pytest.mark.parametrize("kind", VECTORS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("count", "episodes"), ((3, 8), (3, 2), (1, 3)))
def test_every_row_plays_what_a_single_environment_plays(
    cartpole_file, mode, kind, count, episodes
):
    """And no episode is called longer than max_ep_len."""
    env = vector(cartpole, count, mode, kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        policy = Policy(cartpole_file, batch_size=count)
        seen = rollout(policy, env, episodes, seed=5)
        env.close()
        due = one_by_one(cartpole_file, cartpole, count, episodes, mode, seed=5)
    same(seen, due)
    assert all(len(e.latencies) == e.length for e in seen)


def test_the_episodes_of_these_tests_differ(cartpole_file):
    """Some end early and some at the time limit: or the test above would show little."""
    episodes = rollout(Policy(cartpole_file), cartpole(), 8, seed=5)
    assert len({e.length for e in episodes}) >= 3
    assert {e.terminated for e in episodes} == {True, False}


@pytest.mark.parametrize("mode", MODES)
def test_hopper_in_the_real_simulator(hopper_file, mode):
    """A step graph with its caches, continuous actions, episodes cut at 30 steps."""

    def hopper():
        return gymnasium.make("Hopper-v5", max_episode_steps=30)

    env = vector(hopper, 2, mode)
    seen = rollout(Policy(hopper_file, batch_size=2), env, 4, seed=3)
    same(seen, one_by_one(hopper_file, hopper, 2, 4, mode, seed=3), tolerance=1e-3)
    assert [e.length for e in seen] == [30] * 4


class Spill(gymnasium.Env):
    """Over after its seed's number of steps, with an observation that is not finite."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (4,))
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = int(self.np_random.integers(2, 6))
        return np.zeros(4), {}

    def step(self, action):
        self.left -= 1
        over = self.left == 0
        return np.full(4, np.nan if over else 0.0), 1.0, over, False, {}


@pytest.mark.parametrize("mode", MODES)
def test_the_last_observation_of_an_episode_may_be_anything(cartpole_file, mode):
    """A simulation that blew up ends its episode, and no other row's."""
    seen = rollout(Policy(cartpole_file, batch_size=3), vector(Spill, 3, mode), 7, seed=0)
    same(seen, one_by_one(cartpole_file, Spill, 3, 7, mode, seed=0))


def test_max_steps_where_rows_are_reset_by_the_caller(cartpole_file):
    env = vector(cartpole, 3, AutoresetMode.DISABLED)
    seen = rollout(Policy(cartpole_file, batch_size=3), env, 7, seed=5, max_steps=9)
    same(seen, rollout(Policy(cartpole_file), cartpole(), 7, seed=5, max_steps=9))


@pytest.mark.parametrize("mode", (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP))
def test_max_steps_where_the_environment_resets_itself(cartpole_file, mode):
    """One episode a row can be cut short; more cannot, for nobody else can reset the row."""
    policy, env = Policy(cartpole_file, batch_size=3), vector(cartpole, 3, mode)
    seen = rollout(policy, env, 3, seed=5, max_steps=9)
    same(seen, rollout(Policy(cartpole_file), cartpole(), 3, seed=5, max_steps=9))
    with pytest.raises(ValueError, match=f"max_steps = 9 .*{mode.value}.*max_episode_steps"):
        rollout(policy, env, 4, max_steps=9)


def test_steps_are_reported_for_the_episodes_that_were_asked_for(cartpole_file):
    steps = []
    env = vector(cartpole, 3, AutoresetMode.NEXT_STEP)
    episodes = rollout(
        Policy(cartpole_file, batch_size=3), env, 4, seed=5, on_step=lambda *now: steps.append(now)
    )
    for index, episode in enumerate(episodes):
        mine = [(length, total) for number, length, total in steps if number == index]
        assert mine == [(n, float(n)) for n in range(1, episode.length + 1)]
    assert {number for number, _, _ in steps} == {0, 1, 2, 3}


def test_environments_that_are_a_vector_by_themselves(cartpole_file):
    """Gymnasium's own CartPole in NumPy: one generator for all rows, NEXT_STEP."""
    env = gymnasium.make_vec("CartPole-v1", 4, vectorization_mode="vector_entry_point")
    episodes = rollout(Policy(cartpole_file, batch_size=4), env, 6, seed=0)
    assert [e.length > 0 for e in episodes] == [True] * 6
    assert [e.total_return == e.length for e in episodes] == [True] * 6


def test_a_wrapped_vector_environment(cartpole_file):
    mode = AutoresetMode.SAME_STEP
    env = gymnasium.wrappers.vector.RecordEpisodeStatistics(vector(cartpole, 2, mode))
    seen = rollout(Policy(cartpole_file, batch_size=2), env, 4, seed=5)
    same(seen, one_by_one(cartpole_file, cartpole, 2, 4, mode, seed=5))


def test_the_policy_has_a_row_for_each_environment(cartpole_file):
    env = vector(cartpole, 3, AutoresetMode.NEXT_STEP)
    with pytest.raises(ValueError, match=r"num_envs = 3.*batch_size is 1.*batch_size=3"):
        rollout(Policy(cartpole_file), env)


def test_an_environment_that_does_not_say_how_it_resets(cartpole_file):
    env = vector(cartpole, 2, AutoresetMode.NEXT_STEP)
    del env.metadata["autoreset_mode"]
    with pytest.raises(ValueError, match="autoreset_mode = None, expected one of NextStep"):
        rollout(Policy(cartpole_file, batch_size=2), env)
    env.metadata["autoreset_mode"] = "NextStep"
    assert len(rollout(Policy(cartpole_file, batch_size=2), env, 2)) == 2
