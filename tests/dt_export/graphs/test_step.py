"""Every action of a step graph is eager PyTorch's on the very window that the policy reports.

The graph runs in PyTorch here, under the runtime's own loop; exported files are held to the same
by the validation that every export goes through (checkpoints/dialects/test_dialects.py).
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from checkpoints_made_here import VARIANTS, save_hugging_face
from dt_runtime import Policy
from hypothesis import given, settings
from hypothesis import strategies as st

from dt_export.checkpoints import Overrides, load
from dt_export.errors import UsageError
from dt_export.exporting import export
from dt_export.graphs.step import KIND as STEP
from dt_export.targets.artifact import Opened
from dt_export.targets.contract import contract_of

TOLERANCE = 1e-5
RETURN_SCALE = 10.0


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return made(tmp_path_factory.mktemp("tiny") / "ck", "plain")


def made(path, variant, context_length=6):
    directory = save_hugging_face(path, **VARIANTS[variant])
    flags = Overrides(context_length=context_length, return_scale=RETURN_SCALE)
    return load(str(directory), flags)


def policy_of(checkpoint, **options):
    """A policy whose engine is the graph in PyTorch."""
    names = STEP.output_names(checkpoint.model.config)
    contract = contract_of(checkpoint, STEP, names, {})
    graph = STEP.module(checkpoint)

    def run(inputs):
        tensors = [torch.from_numpy(inputs[spec.name]) for spec in contract.inputs]
        with torch.no_grad():
            values = graph(*tensors)
        return {s.name: v.numpy() for s, v in zip(contract.outputs, values, strict=True)}

    return Policy(Opened(contract, run, "torch").engine, **options)


class Diary:
    """What went into a policy, by row and episode, and the model's action on any window of it."""

    def __init__(self, checkpoint, policy, seed):
        self.checkpoint, self.policy = checkpoint, policy
        self.rng = np.random.default_rng(seed)
        self.rows = [[] for _ in range(policy.batch_size)]
        self.last = checkpoint.model.config.max_ep_len - 1
        policy.reset(self.rng.uniform(-10, 30, policy.batch_size))

    def reset(self, row):
        self.policy.reset(self.rng.uniform(-10, 30), rows=[row])
        self.rows[row] = []

    def step(self):
        """One step of all rows; the actions [B, A]."""
        batch, facts = self.policy.batch_size, self.checkpoint.facts
        size = (batch, self.checkpoint.model.config.state_dim)
        states = facts.state_mean + self.rng.normal(size=size) * facts.state_std
        states = states.astype(np.float32)
        rewards = self.rng.normal(size=batch)
        one = batch == 1
        actions = self.policy.act(states[0] if one else states, rewards[0] if one else rewards)
        actions = actions[None] if one else actions
        steps = zip(states, actions, self.policy.returns_to_go, self.policy.timesteps, strict=True)
        for row, step in zip(self.rows, steps, strict=True):
            row.append(step)
        return actions

    def eager(self, row, first, last):
        """The model's action at the end of timesteps first to last."""
        facts = self.checkpoint.facts
        window = self.rows[row][first : last + 1]
        assert len(window) == last - first + 1
        states, actions, returns, timesteps = (np.array(part) for part in zip(*window, strict=True))
        states = (states - np.float32(facts.state_mean)) / np.float32(facts.state_std)
        with torch.no_grad():
            out = self.checkpoint.model(
                states=torch.from_numpy(states)[None],
                actions=torch.from_numpy(actions)[None],
                returns_to_go=torch.tensor(returns / RETURN_SCALE, dtype=torch.float32)[
                    None, :, None
                ],
                timesteps=torch.from_numpy(np.minimum(timesteps, self.last))[None],
                attention_mask=torch.ones(1, len(window), dtype=torch.int64),
            )
        return out.action_preds[0, -1].numpy()

    def error(self, actions):
        """The worst difference of these actions from the model's on the reported windows."""
        worst = 0.0
        for row, (first, last) in enumerate(self.policy.windows):
            due = self.eager(row, first, last)
            worst = max(worst, np.abs(actions[row] - due).max() / max(1.0, np.abs(due).max()))
        return worst


@pytest.mark.filterwarnings("ignore:an episode is longer")
@pytest.mark.parametrize(("seed", "slots", "batch"), ((0, 1, 1), (1, 3, 2), (2, 6, 1)))
@pytest.mark.parametrize("variant", VARIANTS)
def test_two_hundred_steps_are_exact(variant, seed, slots, batch, tmp_path):
    """Five times as long as the table of timesteps reaches, rows beginning anew in between."""
    checkpoint = made(tmp_path / "ck", variant)
    diary = Diary(checkpoint, policy_of(checkpoint, slots=slots, batch_size=batch), seed)
    worst = 0.0
    for step in range(200):
        if batch > 1 and step % 7 == 3 and step > 100:
            diary.reset(step % batch)
        worst = max(worst, diary.error(diary.step()))
    assert worst <= TOLERANCE


@pytest.mark.filterwarnings("ignore:an episode is longer")
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_size_is_exact(tiny, data):
    context = data.draw(st.integers(1, 9), label="K")
    slots = data.draw(st.integers(1, context), label="G")
    batch = data.draw(st.integers(1, 4), label="batch")
    steps = data.draw(st.integers(1, 55), label="steps")  # the table has 40 timesteps
    resets = data.draw(
        st.dictionaries(st.integers(1, 54), st.integers(0, batch - 1), max_size=4), label="resets"
    )
    checkpoint = tiny.with_context_length(context)
    diary = Diary(checkpoint, policy_of(checkpoint, slots=slots, batch_size=batch), steps)
    for step in range(steps):
        if step in resets:
            diary.reset(resets[step])
        actions = diary.step()
        assert diary.error(actions) <= TOLERANCE
        windows = diary.policy.windows
        lengths = windows[:, 1] - windows[:, 0] + 1
        elapsed = np.array([len(row) for row in diary.rows])
        shortest = np.minimum(elapsed, context - -(-context // slots) + 1)
        assert (lengths <= context).all() and (lengths >= shortest).all()
        assert (lengths[elapsed <= context] == elapsed[elapsed <= context]).all()


def test_as_many_slots_as_timesteps_see_the_full_window(tiny):
    checkpoint = tiny.with_context_length(4)
    diary = Diary(checkpoint, policy_of(checkpoint, slots=4), 0)
    for step in range(20):
        diary.step()
        first, last = diary.policy.windows[0]
        assert (first, last) == (max(0, step - 3), step)


def test_the_ring_is_exact_until_it_is_full_and_close_after(tiny):
    diary = Diary(tiny, policy_of(tiny, slots="ring"), 0)
    errors = [diary.error(diary.step()) for _ in range(30)]
    assert max(errors[:6]) <= TOLERANCE
    assert 1e-4 < max(errors[6:]) < 2.0
    assert diary.policy.windows.tolist() == [[24, 29]]


def test_the_ring_of_one_timestep_is_exact(tiny):
    """Nothing is ever looked back at."""
    checkpoint = tiny.with_context_length(1)
    diary = Diary(checkpoint, policy_of(checkpoint, slots="ring", batch_size=2), 0)
    assert max(diary.error(diary.step()) for _ in range(5)) <= TOLERANCE


def test_the_ring_of_a_single_layer_is_exact(tmp_path):
    """With one layer nothing in the cache has looked at what was dropped."""
    checkpoint = made(tmp_path / "ck", "one_layer")
    diary = Diary(checkpoint, policy_of(checkpoint, slots="ring", batch_size=2), 0)
    assert max(diary.error(diary.step()) for _ in range(30)) <= TOLERANCE


def test_an_applied_action_is_what_later_windows_hold(tiny):
    diary = Diary(tiny, policy_of(tiny, slots=2), 0)
    diary.step()
    told = np.array([0.7, -0.3], np.float32)
    state, action, *rest = diary.rows[0][-1]
    assert not np.array_equal(action, told)
    diary.rows[0][-1] = (state, told, *rest)
    act = diary.policy.act
    diary.policy.act = lambda *inputs: act(*inputs, applied_action=told)
    assert diary.error(diary.step()) <= TOLERANCE


def test_no_window_before_the_first_action(tiny):
    policy = policy_of(tiny, batch_size=2)
    assert policy.windows.tolist() == [[-1, -1], [-1, -1]]
    policy.reset(1.0)
    assert policy.windows.tolist() == [[-1, -1], [-1, -1]]


@pytest.mark.parametrize("slots", (0, 7, -1, "rolling", 2.5))
def test_slots_that_do_not_exist(tiny, slots):
    with pytest.raises(ValueError, match=rf"slots is {slots!r}, expected 1 to 6 \(K\), or 'ring'"):
        policy_of(tiny, slots=slots)


def test_slots_belong_to_step_graphs(policy_file):
    with pytest.raises(ValueError, match="slots is 2, but the artifact's graph is 'policy'"):
        Policy(policy_file, slots=2)


def test_an_exported_file_writes_into_its_own_cache(tiny, tmp_path):
    """Three tokens of every cache change in a step, in the arrays that the graph reads."""
    path = tmp_path / "step.onnx"
    _, report = export(tiny, "onnx", path, graph="step")
    assert report.passed
    policy = Policy(path, slots=2)
    diary = Diary(tiny, policy, 0)
    diary.step()
    caches = {k: v for k, v in policy._memory.arrays.items() if k.startswith("past_")}
    assert len(caches) == tiny.model.config.n_layer
    before = {name: cache.copy() for name, cache in caches.items()}
    diary.step()
    for name, cache in caches.items():
        changed = (cache != before[name]).any(-1).reshape(2, -1)  # [G, C]
        assert changed.sum(1).tolist() == [3, 3], name


def test_two_layers_of_caches_with_heads_and_one_without(tmp_path):
    for variant, kinds in (("plain", 1), ("many_heads", 2)):
        checkpoint = made(tmp_path / variant, variant)
        specs = STEP.input_specs(checkpoint.model.config, 6)
        caches = [s for s in specs if s.name.startswith("past_")]
        assert len(caches) == kinds * checkpoint.model.config.n_layer


@pytest.mark.parametrize("positions", ("window", "from_end"))
def test_models_whose_tokens_move_cannot_be_cached(tiny, positions):
    config = replace(tiny.model.config, positions=positions, window=6)
    with pytest.raises(UsageError, match=f"positions by {positions}.*--graph policy"):
        STEP.output_names(config)
