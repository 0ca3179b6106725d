"""Policy in closed loop: exact windows, honest bookkeeping, clear refusals."""

import dataclasses
import warnings

import numpy as np
import pytest
import torch
from checkpoints_made_here import save_hugging_face
from dt_runtime import OnnxEngine, Policy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dt_export.checkpoints import load
from dt_export.exporting import export
from dt_export.facts import Overrides

STATE, ACTION, SCALE, CONTEXT, MAX_EP_LEN = 5, 2, 100.0, 6, 40


def eager_action(checkpoint, states, actions, returns_to_go, timesteps):
    """What the published evaluation loops do: the last K timesteps of one episode, no padding."""
    facts = checkpoint.facts
    window = slice(max(0, len(states) - facts.context_length), None)
    mean, std = np.float32(facts.state_mean), np.float32(facts.state_std)
    known = [*actions, np.zeros(ACTION, np.float32)]
    inputs = dict(
        states=(np.float32(states)[window] - mean) / std,
        actions=np.float32(known)[window],
        returns_to_go=np.float32(returns_to_go)[window, None] / np.float32(facts.return_scale),
        timesteps=np.minimum(timesteps, MAX_EP_LEN - 1)[window],
        attention_mask=np.ones(len(timesteps), np.int64)[window],
    )
    with torch.no_grad():
        out = checkpoint.model(**{k: torch.from_numpy(v)[None] for k, v in inputs.items()})
    return out.action_preds[0, -1].numpy()


class EagerEpisode:
    """The same loop with plain lists and eager PyTorch."""

    def __init__(self, checkpoint, target):
        self.checkpoint, self.target = checkpoint, target
        self.states, self.actions, self.returns_to_go = [], [], []

    def act(self, state, reward):
        left = self.returns_to_go[-1] - reward if self.returns_to_go else self.target
        self.states.append(state)
        self.returns_to_go.append(left)
        steps = np.arange(len(self.states))
        action = eager_action(self.checkpoint, self.states, self.actions, self.returns_to_go, steps)
        self.actions.append(action)
        return action


@pytest.fixture(params=("policy", "sequence"))
def artifact(request, artifacts):
    return artifacts["onnx", request.param]


def test_one_episode_is_eager_pytorch_step_by_step(artifact, checkpoint):
    """Well past K, and past max_ep_len, where the timestep stays at the last one."""
    rng = np.random.default_rng(0)
    policy, eager = Policy(artifact), EagerEpisode(checkpoint, 300.0)
    policy.reset(target_return=300.0)
    reward = None
    for step in range(MAX_EP_LEN + 5):
        observation = rng.normal(0, 3, STATE)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            action = policy.act(observation, reward)
        expected = eager.act(observation, reward)
        assert np.abs(action - expected).max() <= 1e-5
        assert policy.timesteps[0] == step
        assert policy.returns_to_go[0] == pytest.approx(eager.returns_to_go[-1])
        reward = rng.normal(5, 3)


@settings(
    max_examples=15,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=st.integers(2, 4), seed=st.integers(0, 2**31), data=st.data())
def test_many_rows_are_so_many_episodes(artifact, checkpoint, rows, seed, data):
    """Rows end and begin at their own times and never see one another."""
    rng = np.random.default_rng(seed)
    policy = Policy(artifact, batch_size=rows)
    targets = rng.uniform(100, 400, rows)
    policy.reset(targets)
    eager = [EagerEpisode(checkpoint, target) for target in targets]
    rewards = None
    for _ in range(2 * CONTEXT):
        ended = data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
        if rewards is not None and any(ended):
            policy.reset(150.0, rows=np.array(ended))
            for row in np.flatnonzero(ended):
                eager[row] = EagerEpisode(checkpoint, 150.0)
        observations = rng.normal(0, 3, (rows, STATE))
        actions = policy.act(observations, rewards)
        for row in range(rows):
            reward = None if rewards is None else rewards[row]
            expected = eager[row].act(observations[row], reward)
            assert np.abs(actions[row] - expected).max() <= 1e-5
        rewards = rng.normal(5, 3, rows)


def test_rows_by_index(policy_file):
    policy = Policy(policy_file, batch_size=3)
    policy.reset(100.0)
    policy.act(np.zeros((3, STATE)))
    policy.act(np.zeros((3, STATE)), np.full(3, 1.0))
    policy.reset([7.0, 9.0], rows=[2, 0])
    assert policy.returns_to_go.tolist() == [9.0, 99.0, 7.0]
    policy.act(np.zeros((3, STATE)), np.array([np.nan, 1.0, np.nan]))  # ignored where just begun
    assert policy.returns_to_go.tolist() == [9.0, 98.0, 7.0]
    assert policy.timesteps.tolist() == [0, 2, 0]


def test_the_contract_s_target_is_the_default(policy_file):
    policy = Policy(policy_file)
    policy.reset()
    assert policy.returns_to_go.tolist() == [250.0]
    assert policy.contract.target_returns == (250.0,)


def test_an_applied_action_replaces_the_policy_s_own(policy_file, checkpoint):
    policy, eager = Policy(policy_file), EagerEpisode(checkpoint, 100.0)
    policy.reset(100.0)
    observation, applied = np.ones(STATE), np.array([0.9, -0.9], np.float32)
    eager.act(observation, None)
    policy.act(observation)
    eager.actions[-1] = applied
    expected = eager.act(observation, 1.0)
    action = policy.act(observation, 1.0, applied_action=applied)
    assert np.abs(action - expected).max() <= 1e-5


def test_actions_belong_to_the_caller(policy_file):
    policy = Policy(policy_file)
    policy.reset(100.0)
    first = policy.act(np.ones(STATE))
    kept = first.copy()
    policy.act(-np.ones(STATE), 0.0)
    assert np.array_equal(first, kept)


@pytest.mark.parametrize("graph", ("policy", "step"))
def test_steps_allocate_nothing_that_grows(artifacts, graph):
    import tracemalloc

    policy = Policy(artifacts["onnx", graph])
    observation = np.ones(STATE)

    def episodes(count):
        for _ in range(count):
            policy.reset(100.0)
            for step in range(MAX_EP_LEN - 1):
                policy.act(observation, None if step == 0 else 0.0)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    before = episodes(30)  # Python and NumPy keep a few freed objects for later, but not ever more
    after = episodes(30)
    tracemalloc.stop()
    assert after - before < 4096  # over a thousand steps


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("observation", "words"),
    (
        (np.zeros(STATE + 1), r"observation has shape \(6,\), expected \(5,\)"),
        (np.zeros((2, STATE)), r"observation has shape \(2, 5\), expected \(5,\)"),
        ([0, 0, NAN, 0, 0], r"observation\[2\] is nan"),
        ([0, 0, 0, -INF, 0], r"observation\[3\] is -inf"),
        (["left"] * STATE, "observation is not an array of numbers"),
        (None, "observation"),
    ),
)
def test_bad_observations_change_nothing(policy_file, observation, words):
    check_refusal(policy_file, words, observation, 1.0)


@pytest.mark.parametrize(
    ("reward", "words"),
    (
        (NAN, "reward is nan, expected finite"),
        (INF, "reward is inf"),
        (None, "reward is missing"),
        ([1.0, 2.0], r"reward has shape \(2,\), expected a number"),
    ),
)
def test_bad_rewards_change_nothing(policy_file, reward, words):
    check_refusal(policy_file, words, np.zeros(STATE), reward)


@pytest.mark.parametrize(
    ("applied", "words"),
    (([0.0], r"applied_action has shape \(1,\), expected \(2,\)"), ([NAN, 0.0], "applied_action")),
)
def test_bad_applied_actions_change_nothing(policy_file, applied, words):
    check_refusal(policy_file, words, np.zeros(STATE), 1.0, applied_action=applied)


def check_refusal(path, words, observation, reward, **more):
    """The call is refused, and the policy goes on as one that never got it."""
    policy, twin = Policy(path), Policy(path)
    for each in (policy, twin):
        each.reset(100.0)
        each.act(np.ones(STATE))
    with pytest.raises(ValueError, match=words):
        policy.act(observation, reward, **more)
    assert policy.timesteps.tolist() == twin.timesteps.tolist()
    assert policy.returns_to_go.tolist() == twin.returns_to_go.tolist()
    for _ in range(3):
        expected = twin.act(np.ones(STATE), 2.0)
        assert np.array_equal(policy.act(np.ones(STATE), 2.0), expected)


def test_act_before_reset(policy_file):
    with pytest.raises(RuntimeError, match=r"act\(\) was called before reset\(\)"):
        Policy(policy_file).act(np.zeros(STATE))
    many = Policy(policy_file, batch_size=2)
    many.reset(1.0, rows=[0])
    with pytest.raises(RuntimeError, match=r"rows \[1\]"):
        many.act(np.zeros((2, STATE)))


def test_reset_without_a_target(policy_file):
    engine = OnnxEngine(policy_file)
    engine.contract = dataclasses.replace(engine.contract, target_returns=())
    policy = Policy(engine)
    with pytest.raises(ValueError, match="target_return is missing and the contract has none"):
        policy.reset()
    policy.reset(10.0)
    assert policy.returns_to_go.tolist() == [10.0]


@pytest.mark.parametrize(
    ("target", "rows", "words"),
    (
        (NAN, None, "target_return is nan"),
        ([1.0, 2.0], None, r"target_return has shape \(2,\)"),
        (1.0, [3], r"rows is \[3\], expected 0 to 2"),
        (1.0, [-1], r"rows is \[-1\]"),
        (1.0, np.array([True]), r"rows has shape \(1,\), expected \(3,\)"),
    ),
)
def test_bad_resets_change_nothing(policy_file, target, rows, words):
    policy = Policy(policy_file, batch_size=3)
    policy.reset(5.0)
    with pytest.raises(ValueError, match=words):
        policy.reset(target, rows)
    assert policy.returns_to_go.tolist() == [5.0, 5.0, 5.0]


def test_an_episode_longer_than_the_table_warns_once(policy_file):
    policy = Policy(policy_file)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            policy.reset(100.0)
            policy.act(np.zeros(STATE))
            for _ in range(MAX_EP_LEN + 3):
                policy.act(np.zeros(STATE), 0.0)
    (warning,) = caught
    assert "longer than max_ep_len 40" in str(warning.message)
    assert "stay at 39" in str(warning.message)
    assert warning.filename == __file__


def test_a_sequence_without_actions(sequence_file):
    engine = OnnxEngine(sequence_file)
    kept = tuple(spec for spec in engine.contract.outputs if spec.name != "action_preds")
    engine.contract = dataclasses.replace(engine.contract, outputs=kept)
    with pytest.raises(ValueError, match="no output 'action_preds'"):
        Policy(engine)


@pytest.mark.parametrize("size", (0, -1))
def test_batch_size_below_one(policy_file, size):
    with pytest.raises(ValueError, match=f"batch_size is {size}"):
        Policy(policy_file, batch_size=size)


@pytest.fixture(scope="module")
def discrete_files(tmp_path_factory):
    """Both graphs of a Hugging Face policy with four choices, whose sequence takes one-hot."""
    folder = tmp_path_factory.mktemp("discrete")
    path = save_hugging_face(folder / "ck", seed=3, act_dim=4, action_tanh=False)
    checkpoint = load(str(path), Overrides(discrete=True, context_length=CONTEXT))
    for graph in ("policy", "sequence"):
        export(checkpoint, "onnx", folder / f"{graph}.onnx", graph=graph)
    return folder


def choices(path, steps=12, **options):
    policy = Policy(path, **options)
    policy.reset(100.0)
    rng, rewards, taken = np.random.default_rng(0), None, []
    rows = options.get("batch_size", 1)
    for _ in range(steps):
        observations = rng.normal(0, 3, (rows, STATE) if rows > 1 else STATE)
        taken.append(policy.act(observations, rewards))
        rewards = np.zeros(rows) if rows > 1 else 0.0
    return np.array(taken)


def test_discrete_actions_are_indices_in_either_graph(discrete_files):
    paths = [discrete_files / f"{graph}.onnx" for graph in ("policy", "sequence")]
    assert np.array_equal(*(choices(path) for path in paths))
    policy, sequence = (choices(path, 39, temperature=9.0, seed=0) for path in paths)
    assert policy.dtype.kind == "i" and policy.shape == (39,)
    assert set(policy) <= {0, 1, 2, 3} and len(set(policy)) > 1
    assert np.array_equal(policy, sequence)
    assert choices(discrete_files / "policy.onnx", batch_size=3).shape == (12, 3)


def test_sampling_has_a_temperature_and_a_seed(discrete_files):
    path = discrete_files / "policy.onnx"
    first, again = (choices(path, 39, temperature=1.0, seed=1) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, choices(path, 39, temperature=1.0, seed=2))
    cold = choices(path, 39, temperature=1e-6, seed=3)
    assert np.array_equal(cold, choices(path, 39))  # next to no noise is greedy


@pytest.mark.parametrize(
    ("applied", "words"),
    ((4, "applied_action holds 4, expected 0 to 3"), (0.5, "expected integers from 0 to 3")),
)
def test_applied_choices_are_checked(discrete_files, applied, words):
    policy = Policy(discrete_files / "policy.onnx")
    policy.reset(1.0)
    policy.act(np.zeros(STATE))
    with pytest.raises(ValueError, match=words):
        policy.act(np.zeros(STATE), 0.0, applied_action=applied)
    policy.act(np.zeros(STATE), 0.0, applied_action=3)


def test_temperature_is_for_discrete_policies(policy_file, discrete_files):
    with pytest.raises(ValueError, match="temperature is for discrete policies"):
        Policy(policy_file, temperature=1.0)
    with pytest.raises(ValueError, match="temperature is 0"):
        Policy(discrete_files / "policy.onnx", temperature=0.0)


@pytest.fixture(scope="module", params=("reward_conditioned", "naive"))
def atari_file(request, tmp_path_factory):
    from oracles import atari

    folder = tmp_path_factory.mktemp("atari")
    options = atari.Options(model_type=request.param)
    weights = atari.state_dict(np.random.default_rng(0), options)
    returns = request.param == "reward_conditioned"
    file = atari.save(folder, weights, options)
    checkpoint = load(str(file), Overrides(n_head=2, returns=returns))
    export(checkpoint, "onnx", folder / "policy.onnx", validate=False)
    return folder / "policy.onnx", weights, options, returns


def test_frames_in_closed_loop_are_the_oracle_s(atari_file):
    """uint8 frames, integer actions, one global timestep, and a first step without an action."""
    from oracles import atari

    path, weights, options, returns = atari_file
    rng, policy = np.random.default_rng(2), Policy(path)
    policy.reset(90.0 if returns else None)
    frames, actions, left, reward = [], [], [], None
    for step in range(options.context + 2):
        frames.append(rng.integers(0, 256, (4, 84, 84), dtype=np.uint8))
        left.append(left[-1] - reward if left else 90.0)
        window = slice(max(0, step + 1 - options.context), None)
        known = np.array([*actions, 0])[window]
        due = atari.forward(
            weights,
            options,
            states=np.array(frames)[window][None],
            actions=known[None],
            returns_to_go=np.array(left)[window][None, :, None],
            timesteps=np.arange(step + 1)[window][None],
            attention_mask=np.ones((1, len(known)), np.int64),
        )["action_preds"][0, -1]
        action = policy.act(frames[-1], reward)
        assert action == due.argmax()
        actions.append(action)
        reward = float(rng.integers(0, 3))


@pytest.mark.parametrize(
    ("frame", "words"),
    (
        (np.zeros((4, 84, 84)), "observation has float64, expected integers from 0 to 255"),
        (np.full((4, 84, 84), 256), "observation holds 256, expected 0 to 255"),
        (np.full((4, 84, 84), -1), "observation holds -1"),
        (np.zeros((84, 84, 4), np.uint8), r"expected \(4, 84, 84\)"),
    ),
)
def test_frames_are_bytes(atari_file, frame, words):
    policy = Policy(atari_file[0])
    policy.reset(1.0)
    with pytest.raises(ValueError, match=words):
        policy.act(frame)


def test_windows_of_a_whole_window_graph(policy_file):
    """Every action sees as many timesteps as there are, at most K; rows count for themselves."""
    policy = Policy(policy_file, batch_size=2)
    policy.reset(100.0)
    assert policy.windows.tolist() == [[-1, -1], [-1, -1]]
    for step in range(9):
        policy.act(np.ones((2, STATE)), None if step == 0 else np.zeros(2))
        assert policy.windows.tolist() == [[max(0, step - 5), step]] * 2
    policy.reset(100.0, rows=[1])
    policy.act(np.ones((2, STATE)), np.zeros(2))
    assert policy.windows.tolist() == [[4, 9], [0, 0]]
