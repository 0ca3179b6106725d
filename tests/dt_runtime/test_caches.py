"""Whatever stood in a cache before an episode does not matter to it."""

from contextlib import suppress

import numpy as np
import pytest
from dt_runtime import OnnxEngine, OutputError, Policy

STATE = 5
SLOTS = (1, 3, 6, "ring")


class OnDevice(OnnxEngine):
    """Caches that live elsewhere, as on a GPU: here the CPU is the device."""

    def bind(self, inputs, outputs):
        self.last = self._bind_on_device(inputs, outputs)
        return self.last


def spoil(policy, value=np.nan):
    """Put a value into every cache and into what is left of other memory."""
    memory = policy._memory
    runs = [run for run, _ in policy._bound.values() if hasattr(run, "push")]
    for cache in memory.caches().values():
        cache.fill(value)
    for run in runs:
        run.push()


def play(policies, rng, steps, rows=1, begun=True):
    shape = (rows,) if rows > 1 else ()
    for _ in range(steps):
        observation = rng.normal(0, 3, (*shape, STATE))
        reward = rng.normal(5, 3, shape) if rows > 1 else float(rng.normal(5, 3))
        actions = [p.act(observation, reward if begun else None) for p in policies]
        assert np.array_equal(*actions) and np.isfinite(actions[0]).all()
        begun = True


@pytest.mark.parametrize("engine", (OnnxEngine, OnDevice))
@pytest.mark.parametrize("rows", (1, 3))
@pytest.mark.parametrize("slots", SLOTS)
def test_caches_full_of_nan_before_an_episode(step_file, slots, rows, engine):
    policy = Policy(engine(step_file), slots=slots, batch_size=rows)
    twin = Policy(step_file, slots=slots, batch_size=rows)
    rng = np.random.default_rng(0)
    spoil(policy)
    for each in (policy, twin):
        each.reset(100.0)
    play((policy, twin), rng, 15, rows, begun=False)
    for value in (np.nan, np.inf, -np.inf):
        spoil(policy, value)
        for each in (policy, twin):
            each.reset(100.0)
        play((policy, twin), rng, 15, rows)


@pytest.mark.parametrize("engine", (OnnxEngine, OnDevice))
@pytest.mark.parametrize("slots", SLOTS)
def test_nan_in_the_caches_of_a_single_row(step_file, slots, engine):
    """The row that is reset gets rid of it, and the others keep what they had."""
    policy, twin = (
        Policy(kind(step_file), slots=slots, batch_size=3) for kind in (engine, OnnxEngine)
    )
    rng = np.random.default_rng(0)
    for each in (policy, twin):
        each.reset(100.0)
    play((policy, twin), rng, 9, 3, begun=False)
    for run, _ in policy._bound.values():
        if hasattr(run, "pull"):
            run.pull()
    for cache in policy._memory.caches().values():
        cache.reshape(3, -1)[1] = np.nan
    for run, _ in policy._bound.values():
        if hasattr(run, "push"):
            run.push()
    for each in (policy, twin):
        each.reset(50.0, rows=[1])
    play((policy, twin), rng, 15, 3)


@pytest.mark.parametrize("rows", (1, 3))
@pytest.mark.parametrize("graph", ("policy", "step"))
def test_a_target_that_the_network_cannot_take_is_over_with_the_episode(artifacts, graph, rows):
    """3e38 is a float32, and overflows inside; the next episode knows nothing of it."""
    policies = [Policy(artifacts["onnx", graph], batch_size=rows) for _ in range(2)]
    rng, shape = np.random.default_rng(0), (rows,) if rows > 1 else ()
    policies[0].reset(3e38)
    for _ in range(3):
        with suppress(OutputError):
            policies[0].act(rng.normal(size=(*shape, STATE)), np.zeros(shape) if rows > 1 else 0.0)
    for policy in policies:
        policy.reset(100.0)
    play(policies, rng, 15, rows)


def test_a_cache_comes_home_and_goes_back(step_file):
    engine = OnDevice(step_file)
    policy, twin = Policy(engine, slots=3), Policy(step_file, slots=3)
    rng = np.random.default_rng(0)
    for each in (policy, twin):
        each.reset(100.0)
    play((policy, twin), rng, 4, begun=False)
    caches = policy._memory.caches()
    assert not any(cache.any() for cache in caches.values())  # they live on the device
    engine.last.pull()
    due = twin._memory.caches()
    assert all(np.array_equal(cache, due[name]) for name, cache in caches.items())
    engine.last.push()
    play((policy, twin), rng, 9)
