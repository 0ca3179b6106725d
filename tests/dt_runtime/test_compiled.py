"""A compiled policy behaves as any other: its twin is the same function as an engine."""

import ctypes
import inspect
import pickle
import sys
import threading
import warnings

import numpy as np
import pytest
from compiled_toy import ACTIONS, CONTEXT, LONGEST, STATES, Twin, build
from dt_runtime import ArgumentError, CompiledPolicy, Library, OutputError, Policy

NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toys")
    return {
        False: build(folder / "continuous.so"),
        True: build(folder / "discrete.so", None, "-DDISCRETE"),
    }


@pytest.fixture(params=(False, True), ids=("continuous", "discrete"))
def discrete(request):
    return request.param


@pytest.fixture
def pair(libraries, discrete):
    """Makes a compiled policy and its twin with the same options."""
    return lambda **options: (
        Policy(libraries[discrete], **options),
        Policy(Twin(discrete), **options),
    )


def draw(policy, rng):
    return rng.normal(0, 1, (STATES,) if policy.batch_size == 1 else (policy.batch_size, STATES))


def per_row(policy, value):
    return value if policy.batch_size == 1 else np.full(policy.batch_size, value)


def seen(policy):
    past = [a.tolist() for a in (policy.timesteps, policy.windows, policy.returns_to_go)]
    return [*past, policy.faults, policy.last_fault]


def outcome(call):
    """What a call returns, or its error."""
    try:
        return call()
    except (ValueError, RuntimeError, FloatingPointError) as error:
        return type(error), str(error)


def same(left, right):
    if isinstance(left, tuple) or isinstance(right, tuple):
        assert left == right
        return
    assert np.shape(left) == np.shape(right) and left.dtype == right.dtype
    assert type(left) is type(right)
    assert np.allclose(left, right, atol=1e-6)


@pytest.mark.parametrize("rows", (1, 3))
@pytest.mark.parametrize("dtype", (np.float64, np.float32))
def test_whole_episodes_past_the_longest(pair, rows, dtype):
    compiled, twin = pair(batch_size=rows)
    assert isinstance(compiled, CompiledPolicy) and isinstance(compiled, Policy)
    rng, reward = np.random.default_rng(0), None
    for policy in (compiled, twin):
        policy.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for step in range(LONGEST + 2 * CONTEXT):
            if step == 11 and rows > 1:
                for policy in (compiled, twin):
                    policy.reset([50.0, -20.0], rows=[0, 2])
            observation = draw(compiled, rng).astype(dtype)
            applied = None
            if step % 4 == 3:
                size = (rows,) if rows > 1 else ()
                applied = (
                    rng.integers(0, 2, size)
                    if compiled._discrete
                    else rng.normal(size=(*size, ACTIONS))
                )
            same(*(p.act(observation, reward, applied_action=applied) for p in (compiled, twin)))
            assert compiled.returns_to_go.tolist() == twin.returns_to_go.tolist()
            assert compiled.timesteps.tolist() == twin.timesteps.tolist()
            reward = float(rng.normal()) if rows == 1 else rng.normal(size=rows)
    assert compiled.windows[rows // 2].tolist() == [48, 51]  # it began anew at step 48


def test_a_long_episode_warns_once_and_names_the_caller(pair):
    told = []
    for policy in pair():
        policy.reset()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(LONGEST + 3):
                policy.act(np.zeros(STATES), 0.0)
        told.append([(str(w.message), w.filename) for w in caught])
    assert told[0] == told[1] and len(told[0]) == 1 and told[0][0][1] == __file__


ACTS = {
    "not an array": ("far", 0.0, None),
    "wrong shape": (np.ones(4), 0.0, None),
    "nan": (np.array([0, 1, NAN, 1, 1]), 0.0, None),
    "nan of float32": (np.array([0, 1, NAN, 1, 1], np.float32), 0.0, None),
    "beyond float32": (np.array([0, 1, 1e39, 1, 1]), 0.0, None),
    "no reward": (np.ones(STATES), None, None),
    "reward of nan": (np.ones(STATES), NAN, None),
    "reward of infinity": (np.ones(STATES), -INF, None),
    "huge reward": (np.ones(STATES), 1e39, None),
    "wrong reward": (np.ones(STATES), "much", None),
    "two rewards": (np.ones(STATES), [1.0, 2.0], None),
    "wrong applied": (np.ones(STATES), 0.0, np.ones(3)),
    "both wrong": (np.array([NAN] * 5), None, None),
    "spoilt output": (np.full(STATES, 1e7), 0.0, None),
    "list": ([0.0, 1.0, 2.0, 3.0, 4.0], 1, None),
    "batch of one": (np.ones((1, STATES)), np.ones(1), None),
    "integers": (np.ones(STATES, int), np.float32(2), None),
}


@pytest.mark.parametrize("mode", ("raise", "hold", "zero"))
@pytest.mark.parametrize("case", ACTS)
def test_errors_and_faults_are_those_of_any_policy(pair, case, mode):
    observation, reward, applied = ACTS[case]
    policies = pair(on_fault=mode)
    before = [outcome(lambda p=p: p.act(observation, reward)) for p in policies]
    assert before[0] == before[1]  # before the first reset
    for policy in policies:
        policy.reset(30.0)
        policy.act(np.ones(STATES))
    for _ in range(2):  # the second time, what the first has left must not matter
        results = [
            outcome(lambda p=p: p.act(observation, reward, applied_action=applied))
            for p in policies
        ]
        if case == "spoilt output" and mode == "raise":
            assert [kind for kind, _ in results] == [OutputError] * 2
            assert all("compare this observation" in text for _, text in results)
        else:
            same(*results)
        compiled, twin = ([*seen(p)[:1], *seen(p)[2:4]] for p in policies)
        assert compiled == twin
    results = [p.act(np.ones(STATES), 1.5) for p in policies]
    same(*results)
    assert policies[0].returns_to_go == policies[1].returns_to_go


@pytest.mark.parametrize("mode", ("hold", "zero"))
def test_a_fault_in_one_row_is_a_fault_of_all(pair, mode):
    """Rows before it were already moved in C; they are moved back."""
    policies = pair(batch_size=3, on_fault=mode)
    rng = np.random.default_rng(0)
    for policy in policies:
        policy.reset([1.0, 2.0, 3.0])
        policy.act(np.ones((3, STATES)))
        policy.reset(5.0, rows=[0])
    for row in range(3):
        ill = rng.normal(size=(3, STATES))
        ill[row] = 1e8
        same(*(p.act(ill, np.array([1.0, 2.0, 4.0])) for p in policies))
        assert policies[0].timesteps.tolist() == policies[1].timesteps.tolist() == [-1, 0, 0]
        assert policies[0].returns_to_go.tolist() == policies[1].returns_to_go.tolist()
    well = rng.normal(size=(3, STATES))
    same(*(p.act(well, np.ones(3)) for p in policies))
    assert policies[0].faults == 3


@pytest.mark.parametrize("target", (NAN, 1e39, "far", [1.0, 2.0, 3.0]))
def test_targets_that_are_refused(pair, target):
    policies = pair()
    for policy in policies:
        policy.reset(7.0)
        policy.act(np.ones(STATES))
    results = [outcome(lambda p=p: p.reset(target)) for p in policies]
    assert results[0] == results[1] and "target_return" in results[0][1]
    assert [p.returns_to_go.tolist() for p in policies] == [[7.0]] * 2


class Interrupt(BaseException):
    """Raised where Python would look for signals, as Ctrl-C is."""


@pytest.mark.parametrize("mode", ("raise", "hold", "zero"))
@pytest.mark.parametrize("rows", (1, 2))
@pytest.mark.parametrize("observation", (1.0, NAN, 1e7), ids=("well", "nan", "spoilt output"))
@pytest.mark.parametrize(
    ("kind", "temperature"),
    ((False, None), (True, None), (True, 1.0)),
    ids=("numbers", "likeliest", "drawn"),
)
@pytest.mark.filterwarnings("ignore:an episode is longer")
def test_no_interrupt_comes_after_the_step_was_committed(
    libraries, kind, rows, mode, observation, temperature
):
    """One interrupt after every call inside ``act``; each time the call is made again."""
    options = dict(batch_size=rows, on_fault=mode, temperature=temperature, seed=0)
    policy, twin = (Policy(libraries[kind], **options) for _ in range(2))
    shape = (STATES,) if rows == 1 else (rows, STATES)
    for each in (policy, twin):
        each.reset(100.0)
        each.act(np.zeros(shape))
    reward, places = per_row(policy, 1.0), 0
    while True:
        left, raised = places, False

        def interrupt(frame, event, _):
            nonlocal left, raised
            inside = event == "c_return" or frame.f_code is not CompiledPolicy.act.__code__
            if event not in ("return", "c_return") or not inside or frame.f_code is run.__code__:
                return
            if left == 0 and not raised:
                raised = True
                sys.setprofile(None)
                raise Interrupt
            left -= 1

        def run():
            sys.setprofile(interrupt)
            return policy.act(np.full(shape, observation), reward)

        before = seen(policy)
        try:
            run()
        except Interrupt:
            assert seen(policy) == before
        except (ValueError, OutputError):
            pass
        finally:
            sys.setprofile(None)
        if not raised:
            break
        results = [
            outcome(lambda p=p: p.act(np.full(shape, observation), reward)) for p in (policy, twin)
        ]
        same(*results)
        assert seen(policy) == seen(twin)
        places += 1
    assert places >= 3


def test_a_clone_goes_on_by_itself(pair):
    for policy in pair(batch_size=3):
        rng = np.random.default_rng(1)
        policy.reset(10.0)
        for _ in range(4):
            policy.act(draw(policy, rng), np.ones(3))
        twin, observations = policy.clone(), [draw(policy, rng) for _ in range(5)]
        actions = [policy.act(o, np.ones(3)) for o in observations]
        again = [twin.act(o, np.ones(3)) for o in observations]
        assert np.array_equal(actions, again) and seen(policy) == seen(twin)
        twin.reset(1.0)
        assert policy.returns_to_go.tolist() != twin.returns_to_go.tolist()


def test_it_cannot_be_pickled_and_says_what_to_do(pair):
    with pytest.raises(TypeError, match="clone"):
        pickle.dumps(pair()[0])


def test_it_serves_one_thread_at_a_time(libraries):
    policy, errors = Policy(libraries[False], batch_size=64), []
    policy.reset(1.0)
    stop = threading.Event()

    def play():
        while not stop.is_set():
            try:
                policy.act(np.zeros((64, STATES)), np.zeros(64))
            except RuntimeError as error:
                errors.append(str(error))
                stop.set()

    threads = [threading.Thread(target=play) for _ in range(2)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for thread in threads:
            thread.start()
        stop.wait(20)
        stop.set()
        for thread in threads:
            thread.join()
    assert errors and "one thread at a time" in errors[0]


def test_draws_follow_the_softmax_and_the_seed(libraries):
    """At temperature 2 the logits 0 and 1 give index 1 with probability 1 / (1 + exp(-1/2))."""

    def play(seed, temperature=2.0, steps=600):
        policy = Policy(libraries[True], temperature=temperature, seed=seed)
        drawn = []
        for _ in range(steps):
            policy.reset(0.0)
            drawn.append(policy.act(np.full(STATES, 0.25)))  # logits 0.25 for index 0, 1.25
        return np.array(drawn), policy

    drawn, policy = play(3)
    due = 1 / (1 + np.exp(-(policy.logits[0, 1] - policy.logits[0, 0]) / 2.0))
    assert abs(drawn.mean() - due) < 4 * np.sqrt(due * (1 - due) / len(drawn))
    assert np.array_equal(drawn, play(3)[0]) and not np.array_equal(drawn, play(4)[0])
    assert play(0, temperature=1e-3, steps=50)[0].all()


def test_a_clone_draws_the_same_and_a_fault_draws_nothing(libraries):
    policies = [Policy(libraries[True], temperature=1.0, seed=5, batch_size=2) for _ in range(2)]
    for policy in policies:
        policy.reset(0.0)
    states = np.full((2, STATES), 0.1)
    for step in range(300):  # beyond a block of random numbers
        if step % 7 == 0:
            with pytest.raises(ValueError):
                policies[0].act(states * NAN, np.zeros(2))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            twin = policies[0].clone()
            actions = [p.act(states, np.zeros(2)).tolist() for p in (*policies, twin)]
        assert actions[0] == actions[1] == actions[2]


@pytest.mark.parametrize(
    "options, said",
    (
        (dict(slots=2), "slots is 2, and the file was made for 1 slots"),
        (dict(slots=0), "slots is 0, expected 1 to 6"),
        (dict(slots="ring"), "slots is 'ring', and a compiled policy has no ring"),
        (dict(provider="cuda"), "provider is 'cuda', and a compiled policy runs on the CPU"),
        (dict(cuda_graph=True), "cuda_graph records CUDA's work, and a compiled policy"),
        (dict(threads=4), "threads is 4, and a compiled policy runs in the thread"),
        (dict(temperature=1.0), "temperature is for discrete policies"),
        (dict(batch_size=0), "batch_size is 0, expected a whole number from 1"),
        (dict(on_fault="ignore"), "on_fault is 'ignore', expected one of raise, hold, zero"),
        (dict(seed="x"), "seed is 'x', expected a whole number"),
    ),
    ids=str,
)  # fmt: skip
def test_options_that_are_refused_by_name(libraries, options, said):
    with pytest.raises(ArgumentError, match=said.replace("(", r"\(")):
        Policy(libraries[False], **options)


def test_a_library_serves_many_policies(libraries):
    library = Library(libraries[False])
    policies = [Policy(library, slots=1, provider="auto", threads=0) for _ in range(3)]
    for number, policy in enumerate(policies):
        policy.reset(float(number))
    assert [p.returns_to_go.item() for p in policies] == [0.0, 1.0, 2.0]
    assert all(p._contexts.ctypes.data % 64 == 0 for p in policies)
    assert policies[0].provider == "cpu"


def test_logits_are_of_discrete_policies(pair, discrete):
    policy, _ = pair(batch_size=2)
    policy.reset(3.0)
    actions = policy.act(np.ones((2, STATES)))
    if discrete:
        assert policy.logits.shape == (2, ACTIONS)
        assert policy.logits.argmax(axis=1).tolist() == actions.tolist()
    else:
        with pytest.raises(ArgumentError, match="logits are of discrete policies"):
            policy.logits  # noqa: B018


def test_a_reward_that_is_no_float_is_as_good(pair):
    """Whole numbers and NumPy's scalars, as environments give them."""
    compiled, twin = pair()
    for policy in (compiled, twin):
        policy.reset(10.0)
        policy.act(np.zeros(STATES))
    for reward in (1, np.int64(2), np.float32(0.5), np.float64(0.25), [3.0], ctypes.c_int(1).value):
        same(*(p.act(np.zeros(STATES), reward) for p in (compiled, twin)))
    assert compiled.returns_to_go == twin.returns_to_go


def test_help_shows_the_arguments_of_a_policy():
    assert inspect.signature(Policy) == inspect.signature(Policy.__init__).replace(
        parameters=list(inspect.signature(Policy.__init__).parameters.values())[1:]
    )
