"""Faults are named and change nothing; sanitizers, fuzzers and analysers find nothing."""

import os
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from c_programs import (
    CONTEXT_LENGTH,
    KINDS,
    TINY,
    compile_c,
    compiled,
    compilers,
    loaded,
    printed,
)

CALLS = Path(__file__).with_name("calls.c")
NAN, INF = float("nan"), float("inf")
SANITIZERS = ("-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all")
OK, NOT_RESET, BAD_TARGET, BAD_OBSERVATION, BAD_REWARD, BAD_APPLIED, BAD_OUTPUT = range(7)
BAD_TEMPERATURE, BAD_RANDOM, BAD_WEIGHTS = range(7, 10)


def driver(source, compiler, output, *flags):
    """The program of calls.c around a policy."""
    macros = ["-DPOL_DISCRETE"] if "pol_draw" in source.with_suffix(".h").read_text() else []
    usual = ["-std=c99", "-g", "-O1", "-march=native", *macros, "-I", str(source.parent)]
    compile_c([CALLS], output, [*usual, *flags], compiler)
    return output


def run(*command):
    """Aborts of a check and reports of a sanitizer are failures."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return done


# Every call, any number.


@pytest.mark.parametrize("name", TINY)
def test_sanitizers_find_nothing_in_any_order_of_calls(sources, name, tmp_path):
    run(driver(sources(name), compilers()[0], tmp_path / "calls", *SANITIZERS), 1, 60)


@pytest.mark.matrix
@pytest.mark.parametrize("compiler", compilers())
@pytest.mark.parametrize("instructions", ("-march=native", "-DPOL_NO_VECTORS", "-DPOL_DISPATCH"))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TINY)
def test_sanitizers_find_nothing_in_any_kernel(
    sources, name, kind, instructions, compiler, tmp_path
):
    output, flags = tmp_path / "calls", [*SANITIZERS, instructions]
    if instructions == "-DPOL_DISPATCH":
        flags.append("-march=x86-64")
    run(driver(sources(name, kind), compiler, output, *flags), 2, 100)


@pytest.mark.matrix
@pytest.mark.skipif("clang" not in compilers(), reason="libFuzzer is clang's")
@pytest.mark.parametrize("kind", ("fp32", "int8"))
@pytest.mark.parametrize("name", TINY)
def test_a_fuzzer_that_sees_branches_finds_nothing(sources, name, kind, tmp_path):
    """As many seconds as FUZZ_SECONDS says, 5 by default."""
    fuzzer = ["-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]
    output = driver(sources(name, kind), "clang", tmp_path / "fuzz", *fuzzer, "-DWITH_LIBFUZZER")
    seconds = os.environ.get("FUZZ_SECONDS", "5")
    options = [f"-max_total_time={seconds}", "-max_len=2048", "-verbosity=0"]
    run(output, *options, f"-artifact_prefix={tmp_path}/")


@pytest.mark.matrix
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TINY)
def test_static_analysis_finds_nothing(sources, name, kind, tmp_path):
    plain = ["-DPOL_NO_VECTORS", "-O1", "-c", str(sources(name, kind))]  # analysers know no vectors
    out = ["-o", str(tmp_path / "out.o")]
    assert not run("gcc", "-fanalyzer", *plain, *out).stderr
    if "clang" in compilers():
        assert not run("clang", "--analyze", *plain, "-o", tmp_path / "out.plist").stderr


# Faults, one by one.


def started(source, steps=3):
    """A policy and its twin after the same steps."""
    pair = compiled(source), compiled(source)
    for policy in pair:
        assert policy.reset(100.0) == OK
        for step in range(steps):
            assert policy.act(np.full(policy.contract.state.size, 0.1 * step), 1.0) == OK
    return pair


FAULTS = {
    "NaN observed": (BAD_OBSERVATION, lambda size: (np.full(size, NAN), 0.0, None)),
    "infinity observed": (BAD_OBSERVATION, lambda size: (np.full(size, -INF), 0.0, None)),
    "NaN as reward": (BAD_REWARD, lambda size: (np.zeros(size), NAN, None)),
    "infinity as reward": (BAD_REWARD, lambda size: (np.zeros(size), INF, None)),
    "a return beyond float32": (BAD_REWARD, lambda size: (np.zeros(size), -1e39, None)),
    "NaN applied": (BAD_APPLIED, lambda size: (np.zeros(size), 0.0, [NAN, 0.0])),
    "an action beyond the last one": (BAD_APPLIED, lambda size: (np.zeros(size), 0.0, 2)),
    "an action below 0": (BAD_APPLIED, lambda size: (np.zeros(size), 0.0, -1)),
}


@pytest.mark.parametrize("name", ("continuous", "discrete", "unbounded"))
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_has_a_name_and_leaves_the_policy_as_it_was(sources, name, fault):
    policy, twin = started(sources(name))
    due, make = FAULTS[fault]
    state, reward, applied = make(policy.contract.state.size)
    if applied is not None and np.ndim(applied) == policy.discrete:
        pytest.skip("of another kind of action")
    check_fault(policy, twin, due, state, reward, applied)


def check_fault(policy, twin, due, state, reward=0.0, applied=None):
    """The fault is given, nothing changes, and both policies go on alike."""
    seen, before, action = policy.seen, bytes(policy.memory), policy.action.copy()
    assert policy.act(state, reward, applied) == due
    assert policy.seen == seen == twin.seen
    assert (policy.action == action).all()
    past = policy.function("past_size", np.ctypeslib.ctypes.c_size_t)()
    assert bytes(policy.memory)[:past] == before[:past]
    for step in range(2 * CONTEXT_LENGTH):
        for one in (policy, twin):
            assert one.act(np.full(one.contract.state.size, -0.2 * step), 0.5) == OK
        assert policy.seen == twin.seen and (policy.action == twin.action).all()


@pytest.mark.parametrize("name", ("continuous", "discrete"))
def test_an_overflow_inside_of_the_network_is_a_bad_output(sources, name):
    policy, twin = started(sources(name))
    scout, _ = started(sources(name))
    rng, largest = np.random.default_rng(0), np.finfo(np.float32).max
    for _ in range(1000):
        state = rng.choice([-1, 1, 0.5, -0.5], 5) * largest
        if scout.act(state) == BAD_OUTPUT:
            return check_fault(policy, twin, BAD_OUTPUT, state)
        started_anew = scout.reset(100.0)
        assert started_anew == OK
    pytest.fail("no observation overflows")


def test_what_is_beyond_float32_in_the_networks_units_is_named(tmp_path):
    checkpoint = loaded(TINY["continuous"], tmp_path)
    facts = replace(
        checkpoint.facts,
        state_std=(0.01,) * 5,
        action_scale=(0.01,) * 2,
        action_offset=(0.0,) * 2,
        action_low=None,
        action_high=None,
    )
    source = printed(replace(checkpoint, facts=facts), tmp_path / "out")
    policy, twin = started(source)
    check_fault(policy, twin, BAD_OBSERVATION, np.full(5, 1e37))
    check_fault(policy, twin, BAD_APPLIED, np.zeros(5), applied=[1e37, 0.0])


def test_an_action_beyond_float32_is_no_action(tmp_path):
    """A scale may take a finite output there, if no bound takes it back."""
    checkpoint = loaded(TINY["unbounded"], tmp_path)
    facts = replace(checkpoint.facts, action_scale=(3e38,) * 2, action_offset=(3e38,) * 2)
    policy = compiled(printed(replace(checkpoint, facts=facts), tmp_path / "out"))
    assert policy.reset(100.0) == OK
    faults = [policy.act(np.full(5, 0.1 * step)) for step in range(20)]
    assert BAD_OUTPUT in faults and set(faults) <= {OK, BAD_OUTPUT}
    assert np.isfinite(policy.action).all()


def test_a_policy_of_zeros_or_of_nothing_is_not_reset(sources):
    policy = compiled(sources("continuous"))
    assert policy.act(np.zeros(5)) == NOT_RESET
    assert policy.seen == (0.0, -1, -1, -1)
    assert policy.function("reset")(None, np.ctypeslib.ctypes.c_double(1.0)) == NOT_RESET
    assert policy.function("act")(None, None, np.ctypeslib.ctypes.c_double(0.0), None) == NOT_RESET


@pytest.mark.parametrize("target", (NAN, INF, -INF, 1e39))
def test_a_target_that_is_no_float32_leaves_the_episode_alone(sources, target):
    policy, twin = started(sources("continuous"))
    assert policy.reset(target) == BAD_TARGET
    assert policy.seen == twin.seen
    for one in (policy, twin):
        assert one.act(np.ones(5), 1.0) == OK
    assert (policy.action == twin.action).all()


def test_the_first_reward_of_an_episode_is_ignored_whatever_it_is(sources):
    policy, twin = started(sources("continuous"), steps=0)
    assert policy.act(np.ones(5), NAN) == OK and twin.act(np.ones(5), 0.0) == OK
    assert policy.seen == twin.seen and (policy.action == twin.action).all()


@pytest.mark.parametrize("temperature", (0.0, -1.0, NAN, INF))
def test_a_bad_temperature_has_a_name(sources, temperature):
    policy, twin = started(sources("discrete"))
    assert policy.draw(np.zeros(5), 0.0, temperature, 0.5) == BAD_TEMPERATURE
    assert policy.seen == twin.seen


@pytest.mark.parametrize("random", (-1e-9, 1.0, NAN, INF))
def test_a_bad_random_number_has_a_name(sources, random):
    policy, twin = started(sources("discrete"))
    assert policy.draw(np.zeros(5), 0.0, 1.0, random) == BAD_RANDOM
    assert policy.seen == twin.seen


@pytest.mark.parametrize("temperature", (5e-324, 1e-3, 1.0, 1e308))
@pytest.mark.parametrize("random", (0.0, 0.5, np.nextafter(1.0, 0.0)))
def test_any_temperature_and_random_number_draw_an_action(sources, temperature, random):
    policy, _ = started(sources("discrete"))
    assert policy.draw(np.zeros(5), 0.0, temperature, random) == OK
    assert 0 <= policy.action[0] < policy.contract.action.size
    if temperature < 1e-2:
        assert policy.action[0] == policy.logits.argmax()


def test_draws_follow_the_softmax_of_the_logits(sources):
    policy, _ = started(sources("discrete"))
    assert policy.act(np.zeros(5)) == OK
    logits = policy.logits.astype(float)
    chances = np.exp(logits / 0.7) / np.exp(logits / 0.7).sum()
    for random in np.linspace(0, 1, 40, endpoint=False):
        policy, _ = started(sources("discrete"))
        assert policy.draw(np.zeros(5), 0.0, 0.7, random) == OK
        assert policy.action[0] == np.searchsorted(chances.cumsum(), random, side="right")


def test_memory_that_was_never_zero_is_ready_after_a_reset(sources):
    policy, twin = started(sources("continuous"), steps=0)
    policy.memory[:] = np.random.default_rng(0).integers(0, 256, policy.size, np.uint8)
    policy.memory[: policy.size // 8 * 8].view(np.uint64)[::3] = 2**64 - 1  # NaN, twice
    assert policy.reset(100.0) == OK
    for step in range(2 * CONTEXT_LENGTH + 1):
        for one in (policy, twin):
            assert one.act(np.full(5, 0.1 * step), 0.5) == OK
        assert policy.seen == twin.seen and (policy.action == twin.action).all()


def test_an_unknown_fault_has_a_name_too(sources):
    name = compiled(sources("continuous")).function("fault_name", np.ctypeslib.ctypes.c_char_p)
    assert [name(fault) for fault in (0, 3, 9)] == [
        b"POL_OK", b"POL_BAD_OBSERVATION", b"POL_BAD_WEIGHTS",
    ]  # fmt: skip
    assert name(10) == name(-1) == b"no such fault"


def test_policies_in_threads_act_as_they_do_one_after_the_other(sources):
    def episode(policy, seed, out):
        rng = np.random.default_rng(seed)
        assert policy.reset(100.0) == OK
        for _ in range(200):
            assert policy.act(rng.normal(0, 1, 5), float(rng.normal())) == OK
            out.append(policy.action.copy())

    source = sources("continuous")
    policies = [compiled(source) for _ in range(4)]
    together, alone = [[] for _ in policies], [[] for _ in policies]
    threads = [
        threading.Thread(target=episode, args=(policy, seed % 3, together[seed]))
        for seed, policy in enumerate(policies)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, policy in enumerate(policies):
        episode(policy, seed % 3, alone[seed])
    assert [len(actions) for actions in together] == [200] * 4
    assert np.array_equal(together, alone)
