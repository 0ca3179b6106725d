"""Calls on a policy, sound ones and junk, against a twin that gets the sound ones alone.

A call is ``[method, {argument: value}]`` and a value is JSON: a name out of ``VALUES``, or
``["sound", seed]`` for what the policy expects. Junk that is refused must leave everything as it
was: timesteps, windows, returns-to-go, and every action from there on. Junk that is accepted goes
to the twin too, and what comes out must be fit for motors all the same.
"""

import datetime
import decimal
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.ma
from dt_runtime import Policy

from fuzz import blame, sanity

Make = Callable[[tuple[int, ...]], Any]


def _filled(value: Any, dtype: Any = None) -> Make:
    return lambda shape: np.full(shape, value, dtype)


def _one(value: Any, dtype: Any = np.float64) -> Make:
    """Sound but for one number."""

    def make(shape: tuple[int, ...]) -> Any:
        array = np.zeros(shape, dtype)
        array.reshape(-1)[-1:] = value
        return array

    return make


def _is(value: Any) -> Make:
    return lambda shape: value


# Never to be accepted, wherever a number or an array of them is expected.
REFUSED: dict[str, Make] = {
    "nan": _one(np.nan),
    "infinity": _one(np.inf),
    "all nan": _filled(np.nan, np.float32),
    "dictionary": _is({}),
    "word": _is("up"),
    "bytes": _is(b"up"),
    "object": _is(object()),
    "huge integer": _is(10**400),
    "complex": _filled(1j),
    "one complex": _is(1j),
    "masked": lambda shape: np.ma.masked_all(shape),
    "partly masked": lambda shape: np.ma.masked_equal(np.zeros(shape), 0),
    "dates": lambda shape: np.full(shape, np.datetime64("2020-01-01")),
    "durations": lambda shape: np.full(shape, np.timedelta64(1, "s")),
    "date": _is(datetime.date(2020, 1, 1)),
    "words": lambda shape: np.full(shape, "up"),
    "nested": _is([[[[]]]]),
    "ragged": _is([[1.0], [1.0, 2.0]]),
    "structure": lambda shape: np.zeros(shape, [("a", "f4")]),
    "set": _is({1.0}),
    "function": _is(len),
    "objects": lambda shape: np.full(shape, None, object),
    "another shape": lambda shape: np.zeros((*shape, 3)),
    "many axes": lambda shape: np.zeros((1,) * 7 + shape + (2,)),
    "nothing": lambda shape: np.zeros((0,)),
}
# May be refused or not: then the result counts.
EITHER: dict[str, Make] = {
    "none": _is(None),
    "large": _one(1e39),
    "larger": _one(1.7e308),
    "all large": _filled(-3e38, np.float32),
    "extended": lambda shape: np.full(shape, "1e4000", np.longdouble),
    "tiny": _filled(5e-324),
    "truths": _filled(True, bool),
    "truth": _is(True),
    "digits": _is("1.5"),
    "bytes of numbers": _filled(200, np.uint8),
    "large integers": _filled(2**62, np.int64),
    "larger integers": _filled(2**64 - 1, np.uint64),
    "negative": _filled(-1, np.int64),
    "half": _filled(0.5, np.float16),
    "decimal": _is(decimal.Decimal("1.5")),
    "not a decimal": _is(decimal.Decimal("sNaN")),
    "fraction": _is(Fraction(1, 3)),
    "lists": lambda shape: np.zeros(shape).tolist(),
    "objects of numbers": lambda shape: np.full(shape, 0.5, object),
    "large objects": lambda shape: np.full(shape, 10**400, object),
    "other byte order": lambda shape: np.full(shape, 0.5, ">f8"),
    "read-only": lambda shape: np.broadcast_to(np.float32(0.5), shape),
    "strided": lambda shape: np.zeros((*shape, 2))[..., 0],
    "matrix": lambda shape: np.asmatrix(np.zeros(max(shape, default=1))),
    "memory": lambda shape: memoryview(np.zeros(shape, np.float32)),
}
# For rows of reset.
ROWS: dict[str, Make] = {
    "fractional": _is([0.9]),
    "beyond": _is([999]),
    "behind": _is([-1]),
    "too large": _is([2**70]),
    "all": _is(None),
    "first": _is([0]),
    "first twice": _is([0, 0]),
    "none of them": _is([]),
    "mask": lambda shape: np.ones(shape, bool),
    "long mask": lambda shape: np.ones((*shape, 5), bool),
    "number": _is(0),
}
ROWS_REFUSED = ("fractional", "beyond", "behind", "too large", "long mask")
VALUES = REFUSED | EITHER


def plain_steps(policy: Policy, steps: int = 3) -> list[str]:
    """Reset and act, with observations and rewards that nobody could mind."""
    if policy.contract.target_returns:
        policy.reset()
    else:
        policy.reset(1.0)
    for step in range(steps):
        observation = _sound(policy, "observation", step)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # past max_ep_len
            action = policy.act(observation, 0.0 if step else None)
        if insane := sanity.of_action(policy.contract, action, policy.batch_size):
            return insane
    return []


def compare(path: Path, batch_size: int, steps: list[list[Any]]) -> list[str]:
    """Play the calls; what is insane about it, the first thing."""
    policy, twin = (Policy(path, batch_size=batch_size) for _ in range(2))
    for both in (policy, twin):
        both.reset(10.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's about casts, ours about long episodes
        for number, (method, given) in enumerate([*steps, *_aftermath(batch_size)]):
            if insane := _step(policy, twin, method, given):
                return [f"{text} (call {number}: {method} {given})" for text in insane]
    return []


def _aftermath(batch_size: int) -> list[list[Any]]:
    """Sound steps at the end: whatever still stands in a window or a cache shows in them."""
    step = ["act", {"observation": ["sound", 1], "reward": ["sound", 2]}]
    return [step] * 3 + [["reset", {"target_return": ["sound", 3]}]] + [step] * 8


def documented(error: BaseException) -> bool:
    """Whether it is ValueError, RuntimeError or a class of dt_runtime."""
    own = type(error).__module__.startswith("dt_runtime")
    return own or type(error) in (ValueError, RuntimeError)


def _step(policy: Policy, twin: Policy, method: str, given: dict[str, Any]) -> list[str]:
    before, begun = _state(policy), bool((policy.timesteps >= 0).any())
    junk = [name for name, value in given.items() if isinstance(value, str)]
    try:
        result = getattr(policy, method)(**_values(policy, method, given))
    except Exception as error:
        if not junk:
            return [f"a sound call was refused: {type(error).__name__}: {error}"]
        where, ours = blame.raised_by(error)
        if not documented(error) or not ours:
            return [f"{type(error).__name__} at {where}: {error!s:.100} ({', '.join(junk)})"]
        about_input = isinstance(error, ValueError)
        if about_input and not any(name in str(error) for name in junk):
            return [f"the message does not name {' or '.join(junk)}: {error!s:.100}"]
        if _state(policy) != before:
            return ["a refused call moved timesteps, windows or returns-to-go"]
        return []
    must = [name for name in junk if given[name] in (ROWS_REFUSED if name == "rows" else REFUSED)]
    if must == ["reward"] and not begun:
        must = []  # of an episode's first step nobody reads the reward
    if must:
        return [f"{must[0]} was accepted: {given[must[0]]}"]
    due = getattr(twin, method)(**_values(twin, method, given))
    if _state(policy) != _state(twin):
        return ["it is not where its undisturbed twin is"]
    if method == "act":
        if np.asarray(result).tobytes() != np.asarray(due).tobytes():
            return ["its action is not that of its undisturbed twin"]
        return sanity.of_action(policy.contract, result, policy.batch_size)
    return []


def _state(policy: Policy) -> tuple[bytes, ...]:
    arrays = (policy.timesteps, policy.windows, policy.returns_to_go)
    return tuple(np.asarray(array).tobytes() for array in arrays)


def _values(policy: Policy, method: str, given: dict[str, Any]) -> dict[str, Any]:
    made = {}
    for name, value in given.items():
        if isinstance(value, list):
            made[name] = 5.0 if "rows" in given else _sound(policy, name, value[1])
        elif name == "rows":
            made[name] = (ROWS | VALUES)[value]((policy.batch_size,))
        else:
            made[name] = VALUES[value](_shape(policy, name))
    return made


def _shape(policy: Policy, name: str) -> tuple[int, ...]:
    contract = policy.contract
    rows = () if policy.batch_size == 1 else (policy.batch_size,)
    if name == "observation":
        return (*rows, *contract.state.shape)
    if name == "applied_action":
        return rows if contract.action.kind == "discrete" else (*rows, contract.action.size)
    return rows


def _sound(policy: Policy, name: str, seed: int) -> Any:
    rng, shape = np.random.default_rng(seed), _shape(policy, name)
    if name == "rows":
        return None
    if name == "applied_action" and policy.contract.action.kind == "discrete":
        return rng.integers(0, policy.contract.action.size, shape)
    frames = any(s.name == "states" and s.dtype == "uint8" for s in policy.contract.inputs)
    if name == "observation" and frames:
        return rng.integers(0, 256, shape, dtype=np.uint8)
    value = rng.uniform(-0.5, 0.5, shape)
    return float(value) if shape == () else value.astype(np.float32)
