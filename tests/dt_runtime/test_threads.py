"""One thread at a time: others are refused, and a clone goes its own way."""

import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from checkpoints_made_here import save_hugging_face
from dt_runtime import OnnxEngine, Policy

from dt_export.checkpoints import load
from dt_export.exporting import export
from dt_export.facts import Overrides

STATE, CONTEXT = 5, 6
KINDS = {
    "policy": ("policy", {}),
    "policy B=3": ("policy", {"batch_size": 3}),
    "sequence": ("sequence", {}),
    "step G=1": ("step", {"slots": 1}),
    "step G=4 B=3": ("step", {"slots": 4, "batch_size": 3}),
    "step ring": ("step", {"slots": "ring"}),
}


def play(policy, seed, steps):
    """The actions of an episode that goes on."""
    rng, rows = np.random.default_rng(seed), policy.batch_size
    shape, actions = (rows,) if rows > 1 else (), []
    for step in range(steps):
        if rows > 1 and step % 5 == 4:
            policy.reset(80.0, rows=[step % rows])
        reward = rng.normal(5, 3, shape) if shape else float(rng.normal(5, 3))
        actions.append(policy.act(rng.normal(0, 3, (*shape, STATE)), reward))
    return np.array(actions)


@pytest.mark.parametrize("kind", KINDS)
def test_clones_in_four_threads_act_as_if_alone(kind, artifacts):
    graph, options = KINDS[kind]
    policy = Policy(artifacts["onnx", graph], **options)
    policy.reset(200.0)
    play(policy, 0, 9)
    clones, alone = [policy.clone() for _ in range(4)], [policy.clone() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda i: play(clones[i], i, 25), range(4)))
    for i in range(4):
        assert np.array_equal(together[i], play(alone[i], i, 25))
        assert clones[i].windows.tolist() == alone[i].windows.tolist()
        assert clones[i].returns_to_go.tolist() == alone[i].returns_to_go.tolist()
    assert np.array_equal(play(policy, 2, 25), together[2])  # and the original is where it was


def test_a_clone_of_what_lives_on_a_device(step_file):
    class OnDevice(OnnxEngine):
        def bind(self, inputs, outputs):
            return self._bind_on_device(inputs, outputs)

    policy = Policy(OnDevice(step_file))
    policy.reset(200.0)
    play(policy, 0, 9)
    assert np.array_equal(play(policy.clone(), 1, 9), play(policy, 1, 9))


@pytest.mark.filterwarnings("ignore:an episode is longer")
def test_a_clone_draws_the_same_random_numbers(tmp_path):
    path = save_hugging_face(tmp_path / "ck", seed=3, act_dim=4, action_tanh=False)
    checkpoint = load(str(path), Overrides(discrete=True, context_length=CONTEXT))
    export(checkpoint, "onnx", tmp_path / "policy.onnx", validate=False)
    policy = Policy(tmp_path / "policy.onnx", temperature=9.0, seed=0)
    policy.reset(100.0)
    play(policy, 0, 5)
    clone = policy.clone()
    assert np.array_equal(play(policy, 1, 25), play(clone, 1, 25))
    with pytest.raises(ValueError):
        policy.act(np.full(STATE, np.nan), 1.0)  # a call that fails draws nothing
    assert np.array_equal(play(policy, 1, 25), play(clone, 1, 25))


def test_a_recorded_graph_is_opened_again(step_file):
    """CUDA's recordings know one set of addresses; without CUDA here, only the choice is seen."""
    engine = OnnxEngine(step_file)
    assert engine.another() is engine
    opened = []

    class Noted(OnnxEngine):
        def __init__(self, *options):
            opened.append(options)

    engine.cuda_graph, engine._options = True, ("cuda", 1, True)
    original = OnnxEngine.another.__globals__["OnnxEngine"]
    try:
        OnnxEngine.another.__globals__["OnnxEngine"] = Noted
        engine.another()
    finally:
        OnnxEngine.another.__globals__["OnnxEngine"] = original
    assert opened == [(step_file, "cuda", 1, True)]


@pytest.mark.parametrize("act", (copy.copy, copy.deepcopy, pickle.dumps))
def test_copies_are_refused_by_name(policy_file, act):
    with pytest.raises(TypeError, match=r"cannot be copied or pickled.*policy\.clone\(\)"):
        act(Policy(policy_file))


@pytest.mark.parametrize("graph", ("policy", "step"))
def test_four_threads_on_one_policy_are_told(artifacts, graph):
    """Every step either counts or is refused; none is lost and none is half done."""
    policy = Policy(artifacts["onnx", graph])
    policy.reset(0.0)
    policy.act(np.ones(STATE))
    gate, done, refused = threading.Barrier(4), [0] * 4, [0] * 4

    def work(index):
        gate.wait()
        while done[index] < 500 and not (sum(refused) and done[index] >= 50):
            try:
                assert np.isfinite(policy.act(np.ones(STATE), 1.0)).all()
                done[index] += 1
            except RuntimeError as error:
                assert "one thread at a time" in str(error) and "clone()" in str(error)
                refused[index] += 1

    with (
        pytest.warns(RuntimeWarning, match="longer than max_ep_len"),
        ThreadPoolExecutor(4) as pool,
    ):
        list(pool.map(work, range(4)))
    assert sum(refused) > 0
    assert policy.timesteps.tolist() == [sum(done)]
    assert policy.returns_to_go.tolist() == [-sum(done)]


@pytest.mark.parametrize("call", ("act", "reset", "clone"))
def test_a_call_from_within_a_call_is_refused_and_the_outer_one_goes_on(policy_file, call):
    class Calling:
        def __init__(self, path):
            self._engine = OnnxEngine(path)
            self.contract, self.inner = self._engine.contract, None

        def bind(self, inputs, outputs):
            run = self._engine.bind(inputs, outputs)

            def calling():
                if self.inner is not None:
                    with pytest.raises(RuntimeError, match="in use by another call"):
                        self.inner()
                run()

            return calling

    engine = Calling(policy_file)
    policy, twin = Policy(engine), Policy(policy_file)
    for each in (policy, twin):
        each.reset(100.0)
    inner = {
        "act": lambda: policy.act(np.ones(STATE), 1.0),
        "reset": lambda: policy.reset(1.0),
        "clone": lambda: policy.clone(),
    }
    engine.inner = inner[call]
    assert np.array_equal(policy.act(np.ones(STATE)), twin.act(np.ones(STATE)))
    engine.inner = None
    assert np.array_equal(policy.act(np.ones(STATE), 1.0), twin.act(np.ones(STATE), 1.0))
    inner[call]()  # and the policy is free again
