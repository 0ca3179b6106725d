"""One seed and one target: the baseline's episode and the artifact's, and how they differ."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from dt_runtime import CompiledPolicy, Library, Policy
from dt_runtime.contract import Contract
from dt_runtime.engine import Engine
from dt_runtime.graphs import GRAPHS
from dt_runtime.protocols import Arrays, Run

from dt_export.evaluation.watched import Plays, Watched, named, watch
from dt_export.validation.closed_loop import APART, BASELINES, ActionTrace, Pair
from dt_export.validation.eager_policy import EagerPolicy
from dt_export.validation.threads import one_thread


@dataclass(frozen=True)
class Sides:
    """Two policies in one environment.

    ``forced`` is the artifact once more, to be given the baseline's observations; None where that
    is not compared. It needs an ``EagerPolicy`` as the baseline.
    """

    baseline: Plays
    artifact: Policy
    environment: Any
    name: str = "eager"  # of the baseline, a key of BASELINES
    forced: "Forced | None" = None


@dataclass(frozen=True)
class Played:
    """A pair, and what else is kept of its episodes."""

    pair: Pair
    trace: ActionTrace | None
    latencies: np.ndarray  # seconds of each act of the artifact in its own episode


class Forced:
    """An artifact's policy that gives its outputs on observations that it did not bring about.

    The baseline's action is passed as the applied one, so that errors do not add up.
    """

    def __init__(self, engine: Engine | Library):
        self.contract = engine.contract
        self.discrete = engine.contract.action.kind == "discrete"
        self._tap = _Tap(engine) if self.discrete and not isinstance(engine, Library) else None
        self._policy = Policy(self._tap or engine, batch_size=1)
        self._applied: np.ndarray | None = None
        self.actions: list[np.ndarray] = []  # [A] each, or indices
        self.outputs: list[np.ndarray] = []  # [A] each: actions or logits
        self.lengths: list[int] = []  # of the windows that it saw, in timesteps
        self.problem: str | None = None

    def reset(self, target_return: float | None) -> None:
        """Begin a new episode."""
        self._applied, self.problem = None, None
        self.actions, self.outputs, self.lengths = [], [], []
        self._policy.reset(target_return)

    def follow(self, observation: Any, reward: Any, action: np.ndarray) -> None:
        """Answer the same observation; ``action`` is what the baseline did there."""
        if self.problem is None:
            try:
                mine = self._policy.act(observation, reward, applied_action=self._applied)
                self.actions.append(np.array(mine))
                self.outputs.append(self._output())
                first, last = self._policy.windows[0]
                self.lengths.append(int(last - first) + 1)
            except Exception as error:  # an engine may raise anything
                self.problem = f"{named(error)} (step {len(self.actions)})"
        self._applied = action

    def _output(self) -> np.ndarray:
        if isinstance(self._policy, CompiledPolicy):
            found: np.ndarray = self._policy.logits[0] if self.discrete else self.actions[-1]
            return found
        if self._tap is None:
            return self.actions[-1]
        first, last = self._policy.windows[0]
        return self._tap.output(int(last - first) + 1)


class _Tap:
    """An engine whose logits can be read after each act."""

    def __init__(self, engine: Engine):
        self.contract, self._engine = engine.contract, engine
        self._name = GRAPHS[engine.contract.graph].output(engine.contract)
        self._bound: dict[int, np.ndarray] = {}  # by timesteps in the inputs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def bind(self, inputs: Arrays, outputs: Arrays) -> Run:
        self._bound[inputs["states"].shape[1]] = outputs[self._name]
        return self._engine.bind(inputs, outputs)

    def output(self, length: int) -> np.ndarray:
        """The logits of the last run, [A], whose window had that length."""
        # A graph of one shape has one array, whatever the window.
        arrays = self._bound
        array = arrays[length] if len(arrays) > 1 else next(iter(arrays.values()))
        last: np.ndarray = array.reshape(-1, self.contract.action.size)[-1].copy()
        return last


class _Leading:
    """The baseline, followed by the artifact step by step."""

    def __init__(self, baseline: EagerPolicy, forced: Forced):
        self._baseline, self._forced = baseline, forced
        self.outputs: list[np.ndarray] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._baseline, name)

    def reset(self, target_return: float | None = None) -> None:
        self.outputs = []
        self._baseline.reset(target_return)
        self._forced.reset(target_return)

    def act(self, observation: Any, reward: Any = None) -> np.ndarray:
        action = self._baseline.act(observation, reward)
        self.outputs.append(self._baseline.last_output)
        self._forced.follow(observation, reward, action)
        return action


def play_pair(
    sides: Sides, seed: int, target_return: float, traced: bool, bound: float | None
) -> Played:
    """Play both episodes. Whatever goes wrong in one is the pair's problem.

    Args:
        traced: keep the actions.
        bound: of the forced error, for the trace.
    """
    forced, contract = sides.forced, sides.artifact.contract
    leading: Any = sides.baseline
    if forced is not None:
        assert isinstance(sides.baseline, EagerPolicy)
        leading = _Leading(sides.baseline, forced)
    with one_thread():  # TorchScript too
        due = watch(leading, sides.environment, target_return, seed)
        got = watch(sides.artifact, sides.environment, target_return, seed)
    scale = _scale(contract, np.array(due.actions))
    error, trace = None, None
    if forced is not None and forced.outputs:
        count = len(forced.outputs)
        expected, seen = np.array(leading.outputs[:count]), np.array(forced.outputs)
        error = float(np.abs(seen.astype(np.float64) - expected).max())
        error /= _scale(contract, expected)
        if traced:
            actions = due.actions[:count]
            trace = ActionTrace(seed, target_return, _rows(actions), _rows(forced.actions), bound)
    pair = Pair(
        seed=seed,
        target_return=target_return,
        expected=due.total_return,
        seen=got.total_return,
        expected_length=due.length,
        length=got.length,
        expected_terminated=due.terminated,
        terminated=got.terminated,
        parted=_parted(due, got, APART * scale),
        forced_error=error,
        problem=_problem(sides.name, due, got, None if forced is None else forced.problem),
        same_start=_same(due.first, got.first),
    )
    return Played(pair, trace, got.latencies)


def _scale(contract: Contract, expected: np.ndarray) -> float:
    """What errors are relative to: 1 where actions have bounds, else the largest number."""
    action = contract.action
    bounded = action.low is not None and action.high is not None
    if (action.kind != "discrete" and bounded) or not expected.size:
        return 1.0
    return max(1.0, float(np.abs(expected).max()))


def _parted(due: Watched, got: Watched, apart: float) -> int | None:
    discrete = bool(due.actions) and due.actions[0].ndim == 0
    for step, (mine, other) in enumerate(zip(due.actions, got.actions, strict=False)):
        distance = float(np.abs(mine.astype(np.float64) - other).max())
        if distance > (0.0 if discrete else apart):
            return step
    return None if due.length == got.length else min(due.length, got.length)


def _same(first: np.ndarray | None, second: np.ndarray | None) -> bool:
    """Whether two first observations are equal, as far as there are any."""
    return first is None or second is None or np.array_equal(first, second)


def _problem(name: str, due: Watched, got: Watched, forced: str | None) -> str | None:
    """What went wrong, and on which side."""
    baseline = BASELINES[name]
    if due.problem is not None and got.problem is not None:
        if due.problem == got.problem:
            return f"{due.problem}, in the episodes of {baseline} and of the artifact alike"
        return f"the episode of {baseline}: {due.problem}; the artifact's: {got.problem}"
    if due.problem is not None:
        return f"the episode of {baseline}, not the artifact's: {due.problem}"
    if got.problem is not None:
        return f"the artifact's episode: {got.problem}"
    if forced is not None:
        return f"the artifact on the observations of {baseline}: {forced}"
    return None


def _rows(actions: Any) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(np.atleast_1d(action).tolist()) for action in actions)
