"""A call that fails has not happened: whatever breaks it off, made again it gives the same."""

import gc
import signal
import subprocess
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from dt_runtime import OnnxEngine, Policy

STATE, ACTION, MAX_EP_LEN = 5, 2, 40
KINDS = {  # graph and options
    "policy": ("policy", {}),
    "policy B=3": ("policy", {"batch_size": 3}),
    "sequence": ("sequence", {}),
    "sequence B=3": ("sequence", {"batch_size": 3}),
    "step G=1": ("step", {"slots": 1}),
    "step G=4": ("step", {"slots": 4}),
    "step G=6": ("step", {"slots": 6}),
    "step ring": ("step", {"slots": "ring"}),
    "step G=1 B=3": ("step", {"slots": 1, "batch_size": 3}),
    "step G=4 B=3": ("step", {"slots": 4, "batch_size": 3}),
    "step ring B=3": ("step", {"slots": "ring", "batch_size": 3}),
}


class Breaking:
    """The real engine, whose runs break off before or after they did their work when told to."""

    def __init__(self, path):
        self._engine = OnnxEngine(path)
        self.contract = self._engine.contract
        self.breaks = None  # (before | after, exception)

    def bind(self, inputs, outputs):
        run = self._engine.bind(inputs, outputs)

        def breaking():
            when, error = self.breaks or ("never", None)
            if when != "before":
                run()
            if error is not None:
                raise error

        return breaking


class Course:
    """The same observations, rewards and resets for a policy and for its undisturbed twin."""

    def __init__(self, rows, seed=0):
        self.rng, self.rows, self.begun = np.random.default_rng(seed), rows, False

    def call(self):
        shape = (self.rows,) if self.rows > 1 else ()
        rewards = self.rng.normal(5, 3, shape)
        given = {
            "observation": self.rng.normal(0, 3, (*shape, STATE)),
            "reward": (rewards if shape else float(rewards)) if self.begun else None,
        }
        if self.rng.random() < 0.3:
            given["applied_action"] = self.rng.uniform(-1, 1, (*shape, ACTION))
        self.begun = True
        return given

    def reset(self):
        """Arguments of a reset of some rows, now and then."""
        if self.rng.random() > 0.15:
            return None
        if self.rows == 1:
            return {"target_return": self.rng.uniform(50, 300)}
        rows = self.rng.random(self.rows) < 0.5
        return {"target_return": self.rng.uniform(50, 300), "rows": rows}


def seen(policy):
    return [a.tolist() for a in (policy.timesteps, policy.windows, policy.returns_to_go)]


@pytest.mark.parametrize("when", ("before", "after"))
@pytest.mark.parametrize("error", (RuntimeError, MemoryError, KeyboardInterrupt))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:an episode is longer")
def test_a_run_that_breaks_off_is_made_again(kind, error, when, artifacts):
    """Also with an action told that the next try does not tell, and with a reset in between."""
    graph, options = KINDS[kind]
    engine = Breaking(artifacts["onnx", graph])
    policy, twin = Policy(engine, **options), Policy(artifacts["onnx", graph], **options)
    course, rng = Course(policy.batch_size), np.random.default_rng(1)
    for each in (policy, twin):
        each.reset(200.0)
    for step in range(MAX_EP_LEN + 8):
        given = course.call()
        if step % 3 == 1:
            for _ in range(rng.integers(1, 3)):
                before = seen(policy)
                engine.breaks = when, error("broken off")
                # Another observation and action than those of the next try: they leave no trace.
                broken = given | {"observation": given["observation"] + rng.normal()}
                broken["applied_action"] = np.full((*given["observation"].shape[:-1], 2), 0.9)
                with pytest.raises(error, match="broken off"):
                    policy.act(**broken)
                assert seen(policy) == before
            engine.breaks = None
        reset = course.reset()
        if reset is not None:
            for each in (policy, twin):
                each.reset(**reset)
        assert np.array_equal(policy.act(**given), twin.act(**given))
        assert seen(policy) == seen(twin)


def test_binding_that_fails_is_made_again(policy_file):
    class Unbound(OnnxEngine):
        fails = True

        def bind(self, inputs, outputs):
            if self.fails:
                raise MemoryError("no room")
            return super().bind(inputs, outputs)

    policy, twin = Policy(Unbound(policy_file)), Policy(policy_file)
    for each in (policy, twin):
        each.reset(100.0)
    with pytest.raises(MemoryError):
        policy.act(np.ones(STATE))
    policy._engine.fails = False
    assert np.array_equal(policy.act(np.ones(STATE)), twin.act(np.ones(STATE)))


class Tick(BaseException):
    """Raised by a timer wherever the program happens to be, as Ctrl-C is."""


def timer():
    """A timer that raises ``Tick`` once in its body, and nowhere else in this process."""
    armed = False

    def ring(*_):
        nonlocal armed
        if armed:
            armed = False
            raise Tick

    @contextmanager
    def ticking(seconds):
        nonlocal armed
        try:
            armed = seconds > 0
            signal.setitimer(signal.ITIMER_REAL, seconds)
            yield
        finally:
            armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    signal.signal(signal.SIGALRM, ring)
    gc.disable()  # a collection may run other people's code, which may hold a lock
    return ticking


def interrupted_anywhere(kind, path):
    """A timer interrupts at any moment; the policy is before the step then or after it."""
    warnings.filterwarnings("ignore", "an episode is longer")
    policy, twin = (Policy(path, **KINDS[kind][1]) for _ in range(2))
    course, rng, ticks, ticking = Course(policy.batch_size), np.random.default_rng(2), 0, timer()
    for each in (policy, twin):
        each.reset(200.0)
    begin = perf_counter()
    for given in [course.call() for _ in range(10)]:
        assert np.array_equal(policy.act(**given), twin.act(**given))
    usual = (perf_counter() - begin) / 20  # seconds of a step
    while ticks < 200:
        given, reset = course.call(), course.reset()
        if reset is not None:
            twin.reset(**reset)
            while True:
                try:
                    with ticking(rng.uniform(1e-6, usual)):
                        policy.reset(**reset)
                    break
                except Tick:
                    ticks += 1
        twin.act(**given)
        for tries in range(1000):
            if seen(policy) == seen(twin):  # interrupted or not, it was done
                break
            try:
                with ticking(rng.uniform(1e-6, 1.5 * usual) if tries < 5 else 0):
                    policy.act(**given)
            except Tick:
                ticks += 1
        given = course.call()  # this one in peace
        assert np.array_equal(policy.act(**given), twin.act(**given))
        assert seen(policy) == seen(twin)
    print("as often as it was interrupted")


@pytest.mark.no_cover  # coverage's own locks must not be interrupted
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that interrupts")
@pytest.mark.parametrize(
    "kind", ("policy", "step G=1", "step G=4", "step ring B=3", "sequence B=3")
)
def test_interrupted_anywhere_a_step_is_whole(kind, artifacts):
    """In a process of its own. One that a signal ends is started again, once, and told of."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_retries as tests; "
    code += "tests.interrupted_anywhere(*sys.argv[2:])"
    path = str(artifacts["onnx", KINDS[kind][0]])
    command = [sys.executable, "-X", "faulthandler", "-c", code, str(Path(__file__).parent)]
    for attempt in range(2):
        done = subprocess.run([*command, kind, path], capture_output=True, text=True, timeout=300)
        if done.returncode >= 0 or attempt:
            break
        warnings.warn(f"ended by signal {-done.returncode}:\n{done.stderr}", stacklevel=1)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "as often as it was interrupted\n"


@pytest.mark.parametrize("rows", (1, 3))
@pytest.mark.parametrize("graph", ("policy", "step"))
def test_a_warning_that_is_an_error_comes_before_anything_moves(artifacts, graph, rows):
    policies = [Policy(artifacts["onnx", graph], batch_size=rows) for _ in range(2)]
    policies[1]._said_clamp = True
    one = rows == 1
    observation = np.ones(STATE) if one else np.ones((rows, STATE))
    reward = 1.0 if one else np.ones(rows)
    for policy in policies:
        policy.reset(100.0)
        for _ in range(MAX_EP_LEN):
            policy.act(observation, reward)
    policy, twin = policies
    before = seen(policy)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning, match="longer than max_ep_len"):
            policy.act(observation, reward, applied_action=np.zeros_like(observation)[..., :ACTION])
        assert seen(policy) == before
        for _ in range(3):  # it is said once
            assert np.array_equal(policy.act(observation, reward), twin.act(observation, reward))
    assert seen(policy) == seen(twin)
