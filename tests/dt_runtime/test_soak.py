"""Many steps with resets at random: memory stays flat and returns-to-go stay exact.

By default 20,000 steps of each graph. A million of the step graph: ``pytest -m slow``.
"""

import gc
import math
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from dt_runtime import Policy

STATE, LONGEST = 5, 1200
GROWTH = 64 * 1024  # bytes, over the whole run: a few bytes a step would be more
RESIDENT = 24 * 2**20  # bytes, of what Python does not see
SCALE = 1000.0  # of a return


def resident():
    """Bytes of this process in memory; 0 where that is not told."""
    file = Path("/proc/self/statm")
    return int(file.read_text().split()[1]) * os.sysconf("SC_PAGESIZE") if file.exists() else 0


def soak(policy, steps, seed=0):
    """Random episodes; the worst error of a return-to-go, and by how many bytes memory grew:

    that of Python, and that of the whole process.
    """
    rng, rewards, target = np.random.default_rng(seed), [], 0.0
    observation, worst, left, before = np.zeros(STATE), 0.0, 0, (0, 0)
    for step in range(steps):
        if step == steps // 10:  # Python and NumPy keep a few freed objects for later
            gc.collect()
            before = tracemalloc.get_traced_memory()[0], resident()
        if left == 0:
            if rewards:
                due = target - math.fsum(rewards)
                worst = max(worst, abs(policy.returns_to_go[0] - due))
            left, target = int(rng.integers(1, LONGEST)), float(rng.uniform(0, 3 * SCALE))
            policy.reset(target)
            rewards = []
        elif rewards or policy.timesteps[0] >= 0:
            rewards.append(float(rng.normal(1, 3)))
        observation[:] = rng.standard_normal(STATE)
        policy.act(observation, rewards[-1] if rewards else None)
        left -= 1
    rewards.clear()
    gc.collect()
    return worst, tracemalloc.get_traced_memory()[0] - before[0], resident() - before[1]


def check(path, steps):
    policy = Policy(path)
    policy._said_clamp = True  # episodes are meant to be too long
    tracemalloc.start()
    try:
        worst, grown, process = soak(policy, steps)
    finally:
        tracemalloc.stop()
    assert worst <= 1e-9 * SCALE
    assert grown <= GROWTH
    assert process <= RESIDENT


@pytest.mark.parametrize("graph", ("policy", "step"))
def test_twenty_thousand_steps(artifacts, graph):
    check(artifacts["onnx", graph], 20_000)


@pytest.mark.slow
def test_a_million_steps(artifacts, request):
    if "slow" not in request.config.getoption("markexpr"):
        pytest.skip("a million steps are played by `pytest -m slow`")
    check(artifacts["onnx", "step"], 1_000_000)
