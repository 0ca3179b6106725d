"""What is not finite never reaches the motors, and actions never leave their bounds."""

import dataclasses

import numpy as np
import pytest
from checkpoints_made_here import save_hugging_face
from dt_runtime import OnnxEngine, OutputError, Policy
from dt_runtime.slots import present

from dt_export.checkpoints import load
from dt_export.exporting import export
from dt_export.facts import Overrides

STATE, ACTION, CONTEXT = 5, 2, 6
NAN, INF = float("nan"), float("inf")
KINDS = {
    "policy": ("policy", {}),
    "sequence": ("sequence", {}),
    "step": ("step", {}),
    "ring": ("step", {"slots": "ring"}),
    "policy B=3": ("policy", {"batch_size": 3}),
    "step B=3": ("step", {"batch_size": 3}),
}


class Damaged:
    """The real engine, whose outputs are spoilt when told so, caches too."""

    def __init__(self, path):
        self._engine = OnnxEngine(path)
        self.contract = self._engine.contract
        self.spoilt = None

    def bind(self, inputs, outputs):
        run = self._engine.bind(inputs, outputs)

        def damaged():
            run()
            if self.spoilt is None:
                return
            for name, array in outputs.items():
                if name in ("action", "logits", "action_preds"):
                    array[..., -1, -1] = self.spoilt
            for name, array in inputs.items():  # what the run wrote, it wrote at these places
                for where in ("cache_indices", "last_cache_indices"):
                    if name in outputs or present(name) not in outputs or where not in inputs:
                        continue
                    index = tuple(inputs[where].T)
                    if all(i.max() < n for i, n in zip(index, array.shape, strict=False)):
                        array[index] = self.spoilt

        return damaged


@pytest.fixture(scope="module")
def choices(tmp_path_factory):
    """A discrete policy of four choices."""
    folder = tmp_path_factory.mktemp("choices")
    path = save_hugging_face(folder / "ck", seed=3, act_dim=4, action_tanh=False)
    checkpoint = load(str(path), Overrides(discrete=True, context_length=CONTEXT))
    export(checkpoint, "onnx", folder / "policy.onnx", validate=False)
    return folder / "policy.onnx"


def seen(policy):
    return [a.tolist() for a in (policy.timesteps, policy.windows, policy.returns_to_go)]


def observations(policy, rng):
    return rng.normal(0, 3, (STATE,) if policy.batch_size == 1 else (policy.batch_size, STATE))


@pytest.mark.parametrize("value", (NAN, INF, -INF))
@pytest.mark.parametrize("kind", KINDS)
def test_a_spoilt_output_is_raised_and_nothing_has_moved(kind, value, artifacts):
    """Damage that passes, in a loop that tries again: the actions are those without any damage."""
    graph, options = KINDS[kind]
    engine, rng = Damaged(artifacts["onnx", graph]), np.random.default_rng(0)
    policy, twin = Policy(engine, **options), Policy(artifacts["onnx", graph], **options)
    for each in (policy, twin):
        each.reset(100.0)
    rewards = None
    for step in range(3 * CONTEXT):
        observation = observations(policy, rng)
        if step % 2:
            before, engine.spoilt = seen(policy), value
            with pytest.raises(OutputError, match=r"output action\[.*1\] is -?(nan|inf).*validate"):
                policy.act(observation, rewards)
            assert seen(policy) == before
        engine.spoilt = None
        assert np.array_equal(policy.act(observation, rewards), twin.act(observation, rewards))
        rewards = 1.0 if policy.batch_size == 1 else np.ones(policy.batch_size)
    assert policy.faults == 3 * CONTEXT // 2 and twin.faults == 0
    assert "the output" in policy.last_fault and twin.last_fault is None


@pytest.mark.parametrize("mode", ("hold", "zero"))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ("observation", "too large", "output", "reward"))
def test_faults_are_held_or_zeroed_and_counted(kind, mode, fault, artifacts):
    """The window is as if there had been no call; the reward counts all the same."""
    graph, options = KINDS[kind]
    engine, rng = Damaged(artifacts["onnx", graph]), np.random.default_rng(0)
    policy = Policy(engine, on_fault=mode, **options)
    twin = Policy(artifacts["onnx", graph], **options)
    one = policy.batch_size == 1
    for each in (policy, twin):
        each.reset(100.0)
    last, reward, faults = np.zeros(ACTION if one else (3, ACTION), np.float32), None, 0
    for step in range(2 * CONTEXT):
        observation = observations(policy, rng)
        if step % 3 != 1 and not (fault == "reward" and reward is None):
            spoilt, given = observation.copy(), reward
            if fault == "observation":
                spoilt[..., -1] = rng.choice((NAN, INF, -INF))
            elif fault == "too large":
                spoilt[..., 0] = 1e39
            elif fault == "output":
                engine.spoilt = NAN
            elif fault == "reward":
                given = NAN if one else np.array([2.0, NAN, 1e300])
            before = seen(policy)
            action = policy.act(spoilt, given)
            assert action.dtype == np.float32 and action.shape == last.shape
            assert np.array_equal(action, last if mode == "hold" else np.zeros_like(last))
            faults, engine.spoilt = faults + 1, None
            assert policy.faults == faults and policy.last_fault
            assert seen(policy)[:2] == before[:2]
            # The twin gets the reward with its next call, together with the next one.
            if fault == "reward":
                owed = 0.0 if one else np.array([2.0, 0.0, 0.0])
            else:
                owed = 0.0 if reward is None else reward
            assert np.allclose(policy.returns_to_go, before[2] - np.asarray(owed), atol=1e-12)
        else:
            owed = 0.0
        both = None if reward is None else reward + owed
        last = policy.act(observation, reward)
        assert np.allclose(last, twin.act(observation, both), atol=1e-6)
        assert np.allclose(policy.returns_to_go, twin.returns_to_go, atol=1e-9)
        reward = 1.5 if one else np.array([1.0, 2.0, 3.0])
    policy.reset(50.0)  # a new episode has no last action
    held = policy.act(np.full_like(observation, NAN))
    assert not held.any()


def test_held_actions_belong_to_the_caller(policy_file):
    policy = Policy(policy_file, on_fault="hold")
    policy.reset(100.0)
    first = policy.act(np.ones(STATE))
    kept = first.copy()
    first += 5.0
    held = policy.act(np.full(STATE, NAN), 0.0)
    assert np.array_equal(held, kept)
    held += 5.0
    assert np.array_equal(policy.act(np.full(STATE, NAN), 0.0), kept)


def test_rows_that_have_just_begun_hold_zeros(policy_file):
    policy = Policy(policy_file, on_fault="hold", batch_size=2)
    policy.reset(100.0)
    actions = policy.act(np.ones((2, STATE)))
    policy.reset(100.0, rows=[1])
    held = policy.act(np.full((2, STATE), NAN), np.zeros(2))
    assert np.array_equal(held[0], actions[0]) and not held[1].any()


def test_choices_are_held_as_indices(choices):
    engine = Damaged(choices)
    for mode in ("hold", "zero"):
        policy = Policy(engine, on_fault=mode)
        policy.reset(100.0)
        assert policy.act(np.full(STATE, NAN)) == 0
        index = policy.act(np.ones(STATE) * 9)
        engine.spoilt = NAN
        held = policy.act(np.ones(STATE), 0.0)
        engine.spoilt = None
        assert held == (index if mode == "hold" else 0) and np.shape(held) == ()
        assert held.dtype == index.dtype == np.int64
        assert policy.faults == 2 and "logits" in policy.last_fault


def test_bugs_are_no_faults(artifacts):
    for graph in ("policy", "step"):
        policy = Policy(artifacts["onnx", graph], on_fault="hold")
        with pytest.raises(RuntimeError, match=r"act\(\) was called before reset\(\)"):
            policy.act(np.full(STATE, NAN))
        policy.reset(100.0)
        policy.act(np.ones(STATE))
        ill, well = np.full(STATE, NAN), np.ones(STATE)
        for observation, reward, applied in (
            (np.ones(4), 0.0, None),
            ("far", 0.0, None),
            (ill, None, None),
            (ill, "much", None),
            (ill, 0.0, np.ones(3)),
            (well, NAN, np.ones(3)),
            (well, 0.0, [NAN, 0.0]),
        ):
            before = seen(policy)
            with pytest.raises(ValueError):
                policy.act(observation, reward, applied_action=applied)
            assert seen(policy) == before and policy.faults == 0


def test_modes_that_do_not_exist(policy_file):
    with pytest.raises(ValueError, match="on_fault is 'ignore', expected one of raise, hold, zero"):
        Policy(policy_file, on_fault="ignore")


@pytest.mark.parametrize("mode", ("raise", "zero"))
@pytest.mark.parametrize("kind", KINDS)
def test_bounds_hold_for_every_graph(kind, mode, artifacts):
    """Whatever the graph thinks of them; zeros are moved into them too."""
    graph, options = KINDS[kind]
    engine, low, high = OnnxEngine(artifacts["onnx", graph]), (0.25, -1.0), (1.0, -0.5)
    action = dataclasses.replace(engine.contract.action, low=low, high=high)
    engine.contract = dataclasses.replace(engine.contract, action=action)
    policy, rng = Policy(engine, on_fault=mode, **options), np.random.default_rng(0)
    policy.reset(100.0)
    rewards, free = None, []
    for _ in range(20):
        observation = observations(policy, rng)
        if mode == "zero":
            observation[..., 0] = NAN
        actions = policy.act(observation, rewards)
        assert (actions >= low).all() and (actions <= high).all()
        free.append(actions)
        rewards = 0.0 if policy.batch_size == 1 else np.zeros(policy.batch_size)
    if mode == "zero":
        assert np.array_equal(np.unique(free), [np.float32(-0.5), np.float32(0.25)])


@pytest.mark.parametrize("graph", ("policy", "step"))
def test_weights_with_a_flipped_bit(artifacts, graph, tmp_path):
    """A bit of the exponent makes a weight huge; what comes of it is raised or finite."""
    import onnx

    raised = 0
    for seed in range(12):
        model, rng = onnx.load(artifacts["onnx", graph]), np.random.default_rng(seed)
        weights = [t for t in model.graph.initializer if t.data_type == 1 and len(t.raw_data) > 64]
        tensor = weights[rng.integers(len(weights))]
        values = np.frombuffer(tensor.raw_data, np.uint32).copy()
        values[rng.integers(len(values), size=4)] |= 0x7F800000  # infinite or NaN
        tensor.raw_data = values.tobytes()
        onnx.save(model, tmp_path / "damaged.onnx")
        policy = Policy(tmp_path / "damaged.onnx")
        policy.reset(100.0)
        try:
            assert np.isfinite(policy.act(np.ones(STATE))).all()
        except OutputError:
            raised += 1
    assert raised
