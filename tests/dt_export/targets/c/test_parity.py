"""A compiled policy does what eager PyTorch does, for every dialect, precision and odd size."""

import numpy as np
import pytest
from c_programs import CONTEXT_LENGTH, DIALECTS, SIZES, Small, compiled, loaded, printed
from c_simulated import Simulated
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracles import atari, d3rlpy_numpy

from dt_export.errors import UsageError
from dt_export.exporting import export

QUICK = (
    "all_at_once", "hidden 20, five heads", "a state of 1", "K = 1", "a long episode", "narrow",
    "two tokens", "two tokens, no timesteps", "no norms outside of the layers",
    "norms after, one head", "two tokens, norms after, two heads", "discrete by table, two tokens",
    "gelu states, layer norm", "tanh states, batch norm", "discrete, states through layers",
)  # fmt: skip
PRECISIONS = {"bf16": ("bf16", None), "int8": ("int8", 8), "int8 of 16 bits": ("int8", 16)}
STEPS = 2 * CONTEXT_LENGTH + 2


def matrix_unless(names, quick):
    return [
        name if name in quick else pytest.param(name, marks=pytest.mark.matrix) for name in names
    ]


def check_export(small, folder, **options):
    _, report = export(loaded(small, folder), "c", folder / "out.c", episodes=0, **options)
    assert report.passed and report.counted == "fp32" and report.worst.error < 1e-5
    return report


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_equals_eager_pytorch(name, tmp_path):
    check_export(DIALECTS[name], tmp_path)


@pytest.mark.matrix
@pytest.mark.parametrize("slots", (1, 3, "K"))
@pytest.mark.parametrize("name", DIALECTS)
def test_with_any_number_of_slots(name, slots, tmp_path):
    context = loaded(DIALECTS[name], tmp_path / "x").facts.context_length
    check_export(DIALECTS[name], tmp_path, slots=context if slots == "K" else slots)


@pytest.mark.parametrize("name", matrix_unless(SIZES, QUICK))
def test_odd_sizes_equal_eager_pytorch(name, tmp_path):
    check_export(SIZES[name], tmp_path)


def test_as_many_slots_as_timesteps(tmp_path):
    check_export(SIZES["plain"], tmp_path, slots=CONTEXT_LENGTH)


@settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    heads=st.integers(1, 4),
    head_size=st.integers(1, 12),
    sizes=st.fixed_dictionaries(
        dict(
            state_dim=st.integers(1, 20),
            act_dim=st.integers(1, 18),
            n_inner=st.integers(1, 50),
            n_layer=st.integers(1, 3),
            max_ep_len=st.integers(1, 40),
        )
    ),
    context=st.integers(1, 24),
    data=st.data(),
)
def test_any_size_equals_eager_pytorch(heads, head_size, sizes, context, data, tmp_path_factory):
    small = Small(
        None,
        {**sizes, "n_head": heads, "hidden_size": heads * head_size},
        {"context_length": context, "return_scale": 10.0},
    )
    slots = data.draw(st.integers(1, context))
    check_export(small, tmp_path_factory.mktemp("sizes"), slots=slots)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_weights_of_usual_size_stay_within_the_bounds_of_the_precision(precision, tmp_path):
    name, bits = PRECISIONS[precision]
    checkpoint = loaded(DIALECTS["huggingface"], tmp_path)
    options = {"precision": name, "activation_bits": bits, "episodes": 0}
    _, report = export(checkpoint, "c", tmp_path / "out.c", **options)
    assert report.passed and report.worst.error > 1e-5  # it is not fp32 in disguise


SIMULATED = {**DIALECTS, "all_at_once": SIZES["all_at_once"], "narrow": SIZES["narrow"]}
FAST = ("huggingface", "min-dt", "all_at_once")


@pytest.mark.parametrize("name", matrix_unless(SIMULATED, FAST))
@pytest.mark.parametrize("precision", PRECISIONS)
def test_rounding_is_that_of_the_precision_and_nothing_else(name, precision, tmp_path):
    """Large random weights move bf16 and int8 beyond their bounds; a simulation moves along.

    It sums in float64, so a number on the edge may be rounded to the other side now and then.
    """
    kind, bits = PRECISIONS[precision]
    checkpoint = loaded(SIMULATED[name], tmp_path)
    options = {"precision": kind, "activation_bits": bits, "slots": 1}
    policy = compiled(printed(checkpoint, tmp_path / "out", **options))
    simulated = Simulated(checkpoint, policy.contract, kind, bits or 8)
    errors = []
    for step, (state, reward, left) in enumerate(episode(policy.contract, STEPS)):
        assert policy.reset(left) == 0 if step == 0 else True
        assert policy.act(state, reward) == 0
        expected = simulated.act(state, left)
        errors.append(np.abs(policy.output - expected).max() / max(1, np.abs(expected).max()))
        simulated.apply(policy.action.copy())
    assert np.median(errors) < (2e-5 if bits == 16 else 1e-6), errors
    assert max(errors) < (1e-3 if bits == 16 else 1e-2), errors


def episode(contract, steps):
    """Observations, rewards and what is left of the return."""
    rng, left = np.random.default_rng(3), 250.0
    mean, std = np.array(contract.state.mean or 0.0), np.array(contract.state.std or 1.0)
    for step in range(steps):
        reward = float(rng.normal(0, 5))
        left -= reward if step else 0.0
        state = rng.normal(0, 1, contract.state.size) * std + mean
        yield state.astype(np.float32), reward, left


REFUSED = {
    "image encoders": (
        Small(atari, atari.Options(), {"n_head": 2}),
        "no code for image encoders, and this model's states go through a Conv2d",
    ),
    "positions in the window": (
        Small(d3rlpy_numpy, d3rlpy_numpy.Options(position_encoding_type="global"), {}),
        "cannot be cached; use --graph policy",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_step_in_c_is_refused_by_name(name, tmp_path):
    small, message = REFUSED[name]
    if small.oracle is atari:  # its positions are refused first, unless its images are
        message = "(cannot be cached|image encoders)"
    with pytest.raises(UsageError, match=message):
        printed(loaded(small, tmp_path), tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
