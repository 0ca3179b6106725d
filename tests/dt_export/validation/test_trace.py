"""Recorded episodes: read with clear messages, replayed open loop against eager PyTorch."""

import dataclasses

import numpy as np
import pytest
from dt_runtime import Policy

from dt_export.cli.show import trace_result
from dt_export.errors import UsageError
from dt_export.process.terminal import console
from dt_export.targets import Opened, open_artifact
from dt_export.validating import traced
from dt_export.validation import check
from dt_export.validation.trace import replay_trace
from dt_export.validation.trace_episodes import ENDS, read_trace

LENGTHS = (9, 4, 15)  # K is 6


def recorded(contract, lengths=LENGTHS, seed=0, **more):
    """Arrays of a trace: random walks, and actions that are not the policy's."""
    rng, count = np.random.default_rng(seed), sum(lengths)
    ends = np.zeros(count, bool)
    ends[np.cumsum(lengths) - 1] = True
    return {
        "observations": rng.standard_normal((count, *contract.state.shape)),
        "actions": rng.uniform(-1, 1, (count, contract.action.size)),
        "rewards": rng.uniform(0, 10, count),
        "ends": ends,
    } | more


@pytest.fixture
def contract(policy_file):
    return open_artifact(policy_file).contract


def saved(folder, arrays):
    path = folder / "log.npz"
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return str(path)


def test_episodes_end_where_the_file_says(contract, tmp_path):
    arrays = recorded(contract)
    episodes = read_trace(saved(tmp_path, arrays), contract)
    assert [len(episode) for episode in episodes] == list(LENGTHS)
    assert [episode.number for episode in episodes] == [0, 1, 2]
    assert np.array_equal(episodes[1].observations, arrays["observations"][9:13])
    # Unless recorded, what was asked for is what was reached.
    assert episodes[1].target_return == pytest.approx(arrays["rewards"][9:13].sum())
    assert len(read_trace(saved(tmp_path, arrays), contract, most=2)) == 2


@pytest.mark.parametrize("name", ENDS)
def test_ends_have_the_names_that_people_use(contract, tmp_path, name):
    arrays = recorded(contract)
    arrays[name] = arrays.pop("ends")
    assert len(read_trace(saved(tmp_path, arrays), contract)) == len(LENGTHS)


def test_two_kinds_of_ends_count_both(contract, tmp_path):
    arrays = recorded(contract)
    ends = arrays.pop("ends")
    terminals, timeouts = ends.copy(), ends.copy()
    terminals[8], timeouts[12] = False, False
    path = saved(tmp_path, arrays | {"terminals": terminals, "timeouts": timeouts})
    assert [len(episode) for episode in read_trace(path, contract)] == list(LENGTHS)


def test_steps_after_the_last_end_are_an_episode(contract, tmp_path):
    ends = recorded(contract)["ends"]
    ends[-1] = False
    episodes = read_trace(saved(tmp_path, recorded(contract, ends=ends)), contract)
    assert [len(episode) for episode in episodes] == list(LENGTHS)


@pytest.mark.parametrize("targets", ([1.0, 2.0, 3.0], np.repeat([1.0, 2.0, 3.0], LENGTHS)))
def test_recorded_targets_are_asked_for(contract, tmp_path, targets):
    path = saved(tmp_path, recorded(contract, target_returns=np.array(targets)))
    assert [episode.target_return for episode in read_trace(path, contract)] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("change", "words"),
    (
        (dict(rewards=None), "has no array rewards; it has observations, actions, ends"),
        (dict(ends=None), "does not say where episodes end: add an array"),
        (dict(actions=np.zeros((28, 3))), r"actions have the shape \[3\] a step, .* takes \[2\]"),
        (dict(observations=np.zeros((28, 7))), r"observations have the shape \[7\] a step"),
        (dict(actions=np.zeros((27, 2))), "actions has 27 steps, rewards have 28"),
        (dict(rewards=np.full(28, np.nan)), "episode 0: rewards are not all finite"),
        (dict(observations=np.full((28, 5), "x")), "observations are <U1, expected numbers"),
        (dict(target_returns=np.zeros(2)), "target_returns has 2 numbers, expected one for each"),
        (dict(rewards=np.array([object()] * 28)), "cannot be read: Object arrays"),
    ),
)
def test_what_is_wrong_with_a_file_is_named(contract, tmp_path, change, words):
    with pytest.raises(UsageError, match=words):
        read_trace(saved(tmp_path, recorded(contract) | change), contract)


def test_a_file_that_is_none(contract, tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        read_trace(str(tmp_path / "no.npz"), contract)
    (tmp_path / "bad.npz").write_bytes(b"nothing of the kind")
    with pytest.raises(UsageError, match="cannot be read"):
        read_trace(str(tmp_path / "bad.npz"), contract)
    with pytest.raises(UsageError, match=r"no \.npz file|neither an \.npz file nor"):
        read_trace("no/such-dataset-v0", contract)


@pytest.mark.parametrize("graph", ("policy", "step", "sequence"))
@pytest.mark.parametrize("target", ("onnx", "torchscript"))
def test_good_artifacts_are_equal_along_a_trace(
    artifacts, checkpoint, contract, tmp_path, target, graph
):
    opened = open_artifact(artifacts[target, graph])
    episodes = read_trace(saved(tmp_path, recorded(contract)), contract)
    result = replay_trace(opened, checkpoint, episodes, "log.npz")
    assert result.passed and result.steps == sum(LENGTHS)
    assert [len(along.errors) for along in result.episodes] == list(LENGTHS)
    assert 0 < result.rounding <= result.bound < 1e-5


def test_the_windows_are_those_of_the_recorded_past(policy_file, checkpoint, contract, tmp_path):
    """Eager PyTorch's answers along it are what the runtime gives with the recorded actions."""
    episodes = read_trace(saved(tmp_path, recorded(contract)), contract)
    result = replay_trace(open_artifact(policy_file), checkpoint, episodes, "log.npz")
    policy, episode = Policy(policy_file), episodes[2]
    policy.reset(episode.target_return)
    for step, observation in enumerate(episode.observations):
        last = step - 1
        policy.act(
            observation,
            episode.rewards[last] if step else None,
            applied_action=episode.actions[last].astype(np.float32) if step else None,
        )
    assert policy.returns_to_go[0] == pytest.approx(episode.rewards[-1])
    assert max(result.episodes[2].errors) <= result.bound


def broken_late(opened, from_length):
    """Wrong on windows that are at least so long."""

    def run(arrays):
        action = opened.run(arrays)["action"]
        return {"action": action + np.float32(1e-4) * (arrays["states"].shape[1] >= from_length)}

    return Opened(opened.contract, run, "cpu")


def test_errors_are_told_by_episode_and_timestep(
    policy_file, checkpoint, contract, tmp_path, capsys
):
    opened = broken_late(open_artifact(policy_file), 5)
    path = saved(tmp_path, recorded(contract))
    report = traced(check(opened, checkpoint, seed=1), opened, checkpoint, path)
    result = report.trace
    assert not result.passed and not report.passed
    # The second episode has four steps, so it never sees a window of five.
    assert [along.episode for along in result.failures] == [0, 2]
    late = np.array(result.episodes[2].errors)
    assert (late[:4] <= result.bound).all() and (late[4:] > 5e-5).all()
    console().print(trace_result(report))
    assert "trace: NOT equal along it (3 episodes, 28 steps" in capsys.readouterr().out


def test_an_artifact_that_crashes_is_a_failure(policy_file, checkpoint, contract, tmp_path, capsys):
    opened = open_artifact(policy_file)

    def run(arrays):
        raise RuntimeError("the engine is broken")

    episodes = read_trace(saved(tmp_path, recorded(contract)), contract)
    result = replay_trace(Opened(opened.contract, run, "cpu"), checkpoint, episodes, "log.npz")
    assert not result.passed and len(result.failures) == len(LENGTHS)
    assert "the engine is broken" in result.failures[0].problem


def test_what_cannot_be_replayed(artifacts, checkpoint, contract, tmp_path):
    opened = open_artifact(artifacts["onnx", "policy"])
    states = opened.contract.inputs[0]
    fixed = dataclasses.replace(states, shape=(3, *states.shape[1:]))
    batch = dataclasses.replace(opened.contract, inputs=(fixed, *opened.contract.inputs[1:]))
    episodes = read_trace(saved(tmp_path, recorded(contract)), contract)
    with pytest.raises(UsageError, match="made for a batch of 3"):
        replay_trace(dataclasses.replace(opened, contract=batch), checkpoint, episodes, "log.npz")


def test_a_minari_dataset(policy_file, checkpoint, contract, tmp_path, monkeypatch):
    """One made here: Minari's own writer, and its own reader."""
    minari = pytest.importorskip("minari")
    pytest.importorskip("h5py")
    gymnasium = pytest.importorskip("gymnasium")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    arrays, low = recorded(contract), -np.ones(contract.action.size, np.float32)
    stops = np.cumsum(LENGTHS)
    buffers = []
    for number, (stop, length) in enumerate(zip(stops, LENGTHS, strict=True)):
        span = slice(stop - length, stop)
        observations = arrays["observations"][span]
        over = np.arange(length) == length - 1
        buffers.append(
            minari.data_collector.EpisodeBuffer(
                id=number,
                observations=[*observations, observations[-1]],
                actions=list(arrays["actions"][span].astype(np.float32)),
                rewards=list(arrays["rewards"][span]),
                terminations=list(over),
                truncations=[False] * length,
                infos=None,
            )
        )
    minari.create_dataset_from_buffers(
        "made/here-v0",
        buffers,
        observation_space=gymnasium.spaces.Box(-np.inf, np.inf, contract.state.shape, np.float64),
        action_space=gymnasium.spaces.Box(low, -low),
        algorithm_name="random",
        author="a test",
        author_email="a@b.c",
        code_permalink="none",
        description="random numbers",
    )
    due = read_trace(saved(tmp_path, arrays), contract)
    for source in ("made/here-v0", str(tmp_path / "datasets" / "made" / "here-v0")):
        episodes = read_trace(source, contract)
        assert [len(episode) for episode in episodes] == list(LENGTHS)
        assert np.array_equal(episodes[2].observations, due[2].observations)
        assert episodes[2].target_return == pytest.approx(due[2].target_return)
    result = replay_trace(open_artifact(policy_file), checkpoint, episodes, source)
    assert result.passed
