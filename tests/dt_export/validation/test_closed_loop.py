"""The closed loop: eager PyTorch and an artifact, on the same seeds of small environments."""

import math
from dataclasses import replace

import numpy as np
import onnx
import pytest
from checkpoints_made_here import save_hugging_face
from dt_runtime import Policy
from environments_made_here import STEPS, Robot
from onnx import numpy_helper
from oracles import atari, kzl

from dt_export.checkpoints import load
from dt_export.cli import show
from dt_export.errors import UsageError
from dt_export.evaluation.watched import watch
from dt_export.exporting import export
from dt_export.facts import Overrides
from dt_export.process import terminal
from dt_export.targets import open_artifact
from dt_export.validation.closed_loop import ClosedLoop, Pair
from dt_export.validation.eager_policy import EagerPolicy
from dt_export.validation.episodes import close_loop
from dt_export.validation.latency import latency
from dt_export.validation.paired import Allowed

pytestmark = pytest.mark.gate

HERE = "environments_made_here"
FLAGS = Overrides(context_length=6, return_scale=100.0, target_return=250.0)


def close(path, checkpoint, environment="Robot", **options):
    options = {"episodes": 2, "workers": 1} | options
    name = f"{HERE}:{environment}"
    return close_loop(open_artifact(path), checkpoint, artifact=path, environment=name, **options)


def damaged(source, path, factor):
    """The same graph, with the head's weights times a factor."""
    model = onnx.load(source)
    (head,) = (t for t in model.graph.initializer if t.name.endswith("predict_action.weight"))
    head.CopyFrom(
        numpy_helper.from_array(numpy_helper.to_array(head) * np.float32(factor), head.name)
    )
    onnx.save(model, path)
    return path


def shown(loop):
    console = terminal.console()
    with console.capture() as captured:
        console.print(show.closed_loop(loop))
    return captured.get()


@pytest.mark.parametrize("graph", ("policy", "step", "sequence"))
@pytest.mark.parametrize("target", ("onnx", "torchscript"))
def test_every_target_and_graph_plays_as_eager_pytorch_does(artifacts, checkpoint, target, graph):
    """Longer than two windows, so that slots begin anew: only rounding is between them."""
    loop = close(artifacts[target, graph], checkpoint, forced_bound=1e-5, target_returns=(250, -3))
    assert loop.passed and loop.baseline == "eager" and loop.environment == f"{HERE}:Robot"
    assert [(pair.target_return, pair.seed) for pair in loop.pairs] == [
        (250, 0), (250, 1), (-3, 0), (-3, 1)
    ]  # fmt: skip
    for pair in loop.pairs:
        assert pair.length == pair.expected_length == STEPS > 2 * 5
        assert 0 < pair.forced_error <= 1e-5 and pair.parted is None and pair.problem is None
    for found in loop.outcomes:
        assert found.identical == found.episodes == 2 and abs(found.difference) < 1e-3
    assert [(trace.seed, trace.target_return) for trace in loop.traces] == [(0, 250), (0, -3)]
    assert {np.shape(trace.seen) for trace in loop.traces} == {(STEPS, 2)}
    assert loop.latency.steps == sum(loop.latency.counts) == 4 * STEPS


def test_a_policy_in_c(checkpoint, tmp_path):
    path = tmp_path / "robot.c"
    export(checkpoint, "c", path, validate=False)
    loop = close(path, checkpoint, forced_bound=1e-5)
    assert loop.passed and all(pair.forced_error > 0 for pair in loop.pairs)


@pytest.mark.parametrize(
    ("module", "options", "flags", "graph", "environment"),
    (
        (kzl, kzl.Options(state_dim=5, act_dim=4, action_tanh=False, positions=32),
         Overrides(n_head=2, discrete=True, context_length=5), "step", "Buttons"),
        (kzl, kzl.Options(state_dim=5, act_dim=4, action_tanh=False, positions=32),
         Overrides(n_head=2, discrete=True, context_length=5), "sequence", "Buttons"),
        (atari, atari.Options(act_dim=4), Overrides(n_head=2), "policy", "Screen"),
    ),
    ids=("step", "sequence", "frames"),
)  # fmt: skip
def test_discrete_policies_are_compared_by_their_logits(
    module, options, flags, graph, environment, tmp_path
):
    weights = module.state_dict(np.random.default_rng(0), options)
    checkpoint = load(str(module.save(tmp_path / "checkpoint", weights, options)), flags)
    path = tmp_path / "artifact.onnx"
    export(checkpoint, "onnx", path, graph=graph, validate=False)
    loop = close(path, checkpoint, environment, target_returns=(10,), forced_bound=1e-5)
    assert loop.passed and all(pair.forced_error > 0 for pair in loop.pairs)
    assert np.shape(loop.traces[0].seen) == (STEPS, 1)


def test_another_head_is_off_on_the_same_observations_and_earns_another_return(
    policy_file, checkpoint, tmp_path
):
    """One percent shows in every action, and three times as much in the returns."""
    slightly = damaged(policy_file, tmp_path / "slightly.onnx", 1.01)
    loop = close(slightly, checkpoint, forced_bound=1e-5, allowed=Allowed(1e3, relative=False))
    assert not loop.passed and len(loop.beyond) == 2
    assert all(found.verdict == "passed" for found in loop.outcomes)
    assert "an action is off by" in shown(loop)
    wholly = damaged(policy_file, tmp_path / "wholly.onnx", -3)
    loop = close(wholly, checkpoint, episodes=8)
    assert loop.outcomes[0].verdict == "failed" and not loop.passed and not loop.undecided
    assert all(pair.parted == 0 for pair in loop.pairs) and loop.outcomes[0].identical == 0
    assert "closed loop FAILED" in shown(loop)


def test_an_artifact_whose_outputs_are_nan_fails_every_pair(policy_file, checkpoint, tmp_path):
    broken = damaged(policy_file, tmp_path / "broken.onnx", np.nan)
    loop = close(broken, checkpoint)
    assert not loop.passed and len(loop.problems) == 2
    for pair in loop.pairs:
        assert "the artifact's episode: the output action[0] is nan" in pair.problem
        assert math.isfinite(pair.expected) and math.isnan(pair.seen)
    assert "seed 0, target 250: the artifact's episode: the output" in shown(loop)


@pytest.mark.parametrize(
    ("environment", "words"),
    (
        ("Fire", "the environment raised ValueError: the motor is on fire (step 3)"),
        ("Leaves", "the environment called sys.exit, exit code 0 (step 1)"),
        ("NoReward", "the return is nan: the environment gave such a reward (step 12)"),
    ),
)
def test_a_broken_environment_fails_on_both_sides_and_the_message_says_so(
    policy_file, checkpoint, environment, words
):
    loop = close(policy_file, checkpoint, environment)
    assert not loop.passed and loop.outcomes[0].problems == 2
    due = f"{words}, in the episodes of eager PyTorch and of the artifact alike"
    assert all(pair.problem == due for pair in loop.pairs)


def test_an_environment_that_ignores_the_seed_is_named(policy_file, checkpoint):
    loop = close(policy_file, checkpoint, "Unseeded")
    assert not any(pair.same_start for pair in loop.pairs)
    assert "begins differently on the same seed" in shown(loop)


def test_one_episode_settles_nothing_and_until_sure_plays_another(policy_file, checkpoint):
    loop = close(policy_file, checkpoint, episodes=1)
    assert not loop.passed and loop.undecided
    said = shown(loop)
    assert "one episode does not show a spread; add --episodes 20 or --until-sure" in said
    assert "UNDECIDED, which is no pass" in said
    loop = close(policy_file, checkpoint, episodes=1, until_sure=True)
    assert loop.passed and [pair.seed for pair in loop.pairs] == [0, 1]


def test_until_sure_goes_on_for_open_targets_alone(policy_file, checkpoint, tmp_path):
    """16 times as many episodes at most, each look more confident than the one before."""
    path = damaged(policy_file, tmp_path / "p.onnx", 1.5)
    open_ = close(path, checkpoint, episodes=2).outcomes[0]
    margin = Allowed(abs(open_.difference), relative=False)
    counts = []
    loop = close(
        path, checkpoint, episodes=2, allowed=margin, until_sure=True, target_returns=(250, 250),
        on_episode=lambda done, total: counts.append((done, total)),
    )  # fmt: skip
    (found,) = loop.outcomes
    assert found.episodes in (4, 8, 16, 32) and counts[-1] == (found.episodes,) * 2
    look = round(math.log2(found.episodes / 2)) + 1
    assert found.confidence == pytest.approx(1 - 0.05 / 2**look)


def pairs(differences, expected=100.0):
    return tuple(
        Pair(seed, 9.0, expected, expected + d, 5, 5, False, False, None, None)
        for seed, d in enumerate(differences)
    )


def test_an_open_case_says_how_many_episodes_would_settle_it():
    loop = ClosedLoop("Walk", "eager", 0.02, pairs([-3.0, 3.0] * 4))
    (found,) = loop.outcomes
    assert found.verdict == "undecided" and found.margin == 2.0 and found.needed > 8
    said = f"about {found.needed} episodes would settle it; add --episodes {found.needed}"
    assert f"{said} or --until-sure" in shown(loop)
    settled = ClosedLoop("Walk", "eager", 0.02, pairs([-3.0, 3.0] * (found.needed // 2 + 1)))
    assert settled.passed


def test_two_percent_of_hardly_anything_asks_for_an_amount():
    loop = ClosedLoop("Walk", "eager", 0.02, pairs([1.0, 2.0, 4.0], expected=0.01))
    assert "such as --allowed 5" in shown(loop)
    assert ClosedLoop("Walk", "eager", 50.0, loop.pairs, relative=False).passed


def test_equal_episodes_pass_without_a_spread():
    assert ClosedLoop("Walk", "eager", 0.02, pairs([0.0] * 3, expected=0.0)).passed


@pytest.mark.parametrize("graph", ("policy", "step"))
def test_the_windows_of_eager_pytorch_are_the_artifact_s_past_the_last_timestep(
    artifacts, checkpoint, graph
):
    """An episode longer than max_ep_len (40): timesteps stay at the last one on both sides."""
    path = artifacts["onnx", graph]
    policy, robot = Policy(path), Robot()
    robot.reset(seed=0)
    eager = EagerPolicy(checkpoint, policy.contract)
    eager.reset(250.0)
    policy.reset(250.0)
    observations = np.random.default_rng(0).normal(size=(50, 5))
    with pytest.warns(RuntimeWarning, match="longer than max_ep_len 40"):
        for step, observation in enumerate(observations):
            reward = None if step == 0 else 1.5
            due, got = eager.act(observation, reward), policy.act(observation, reward)
            assert np.abs(due - got).max() <= 1e-5
    assert eager.returns_to_go == policy.returns_to_go == 250.0 - 49 * 1.5


def test_an_int8_episode_does_not_depend_on_the_one_before(checkpoint, tmp_path):
    """All tokens share a scale, hidden ones included."""
    path = tmp_path / "int8.onnx"
    export(checkpoint, "onnx", path, graph="step", precision="int8", validate=False)
    policy, robot = Policy(path), Robot()
    first = watch(policy, robot, 250.0, seed=0)
    watch(policy, robot, 50.0, seed=1)
    again = watch(policy, robot, 250.0, seed=0)
    assert np.array_equal(first.actions, again.actions)


@pytest.mark.parametrize(
    ("options", "words"),
    (
        (dict(episodes=0), "--episodes is 0"),
        (dict(workers=0), "--workers is 0"),
        (dict(target_returns=(math.inf,)), "--target-return: target_return is inf"),
        (dict(environment="Other"), r"--env environments_made_here:Other does not fit.*\(7,\)"),
    ),
)
def test_what_cannot_be_played(policy_file, checkpoint, options, words):
    with pytest.raises(UsageError, match=words):
        close(policy_file, checkpoint, **options)


def test_a_backbone_gives_no_actions_and_a_batch_is_not_one_environment(
    policy_file, checkpoint, checkpoint_path, tmp_path
):
    opened = open_artifact(policy_file)
    backbone = replace(opened, contract=replace(opened.contract, graph="backbone"))
    with pytest.raises(UsageError, match=r"gives no action.*--graph policy"):
        close_loop(backbone, checkpoint, artifact=policy_file, environment=f"{HERE}:Robot")
    path = tmp_path / "two.onnx"
    export(checkpoint, "onnx", path, static_batch=2, validate=False)
    with pytest.raises(UsageError, match=r"batch of 2 \(--static-batch\)"):
        close(path, checkpoint)


def test_no_target_return_is_known(tmp_path):
    checkpoint = load(str(save_hugging_face(tmp_path / "ck")), replace(FLAGS, target_return=None))
    path = tmp_path / "p.onnx"
    export(checkpoint, "onnx", path, validate=False)
    with pytest.raises(UsageError, match="--target-return is missing"):
        close(path, checkpoint)


def test_a_histogram_of_latencies_counts_every_call():
    found = latency(np.array([1e-4] * 98 + [2e-4, 9e-4]))
    assert found.steps == sum(found.counts) == 100 and found.max_us == pytest.approx(900)
    assert found.p50_us == pytest.approx(100) and 100 < found.p99_us <= 900
    assert found.edges_us[0] == pytest.approx(100) and found.edges_us[-1] == pytest.approx(900)
    same = latency(np.full(3, 1e-4))
    assert sum(same.counts) == 3 and latency(np.zeros(0)) is None
