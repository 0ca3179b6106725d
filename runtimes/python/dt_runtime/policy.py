"""The policy in closed loop: raw observation and reward in, raw action out."""

import warnings
from math import hypot
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dt_runtime import inputs
from dt_runtime.checks import MAX_FLOAT32
from dt_runtime.contract import Contract
from dt_runtime.engine import OnnxEngine
from dt_runtime.errors import ArgumentError
from dt_runtime.graphs import GRAPHS
from dt_runtime.inputs import NotFiniteError
from dt_runtime.inputs import shown as _shown
from dt_runtime.layout import MAX_ROWS, PerRow
from dt_runtime.library import Library, is_library
from dt_runtime.outputs import FEW, Actions, Choices, OutputError, single
from dt_runtime.protocols import DeviceRun, Engine, Run, Traits, another

ON_FAULT = ("raise", "hold", "zero")
MAX_FLOAT64 = float(np.finfo(np.float64).max)
IN_USE = (
    "this Policy is in use by another call: a policy serves one thread at a time. Give each "
    "thread its own policy.clone()"
)


class _Past(NamedTuple):
    """Everything that a step changes, replaced as a whole: a step happens completely or not at all.

    Plain numbers for one row; for many rows arrays [B], which are never changed in place.
    """

    elapsed: PerRow  # steps taken; -1 before the first reset
    returns_to_go: PerRow  # raw
    timesteps: PerRow  # of the last action, as the graph was told
    actions: np.ndarray  # the last ones, raw: [A] or [B, A], or indices
    place: Any  # what the window or the slots need to know to go on
    draws: Any  # the state of the random numbers, where any are drawn
    started: bool  # whether every row was reset


class Policy:
    """A Decision Transformer in closed loop, for one episode or many at once.

    It keeps the context window, the timesteps and the returns-to-go. You pass raw observations and
    raw rewards and get raw actions (Chen et al. 2021, Algorithm 1).

    A policy serves one thread at a time: a call during another call raises ``RuntimeError``. Use
    ``clone`` to make a policy for another thread. A call that fails or is interrupted leaves the
    policy unchanged, so you can repeat it. Actions never leave the contract's bounds, rounded to
    float32 as actions are.

    A fault is an observation or a reward that is not finite or beyond float32, or an output that is
    not finite. ``on_fault`` decides what ``act`` does:

    - ``raise``: it raises ``ValueError`` or ``OutputError`` and changes nothing.
    - ``hold``: it returns the last action of the episode again, or zeros at its first step.
    - ``zero``: it returns zeros, moved into the bounds where those exclude zero.

    A discrete policy holds the last index, or returns 0. With many rows, a fault in one row is a
    fault of the whole call. The window, the timesteps and the caches stay as if there had been no
    call. Finite rewards are still subtracted from the returns-to-go, since no later call will pass
    them again. ``faults`` counts the calls with a fault, in any mode, and ``last_fault`` describes
    the last one (None before there is one). A wrong shape or type is a bug in the caller, not a
    fault: it raises ``ValueError`` in every mode.

    Args:
        artifact: the path of an ONNX file of graph ``policy``, ``step`` or ``sequence``; the path
            of a shared library (``.so``, ``.dylib``, ``.dll``) compiled from a file of
            ``dt-export c``, which is a program and runs when it is opened; an engine, or a
            ``Library``. A library makes a ``CompiledPolicy``.
        provider: ``cpu``, ``cuda``, ``tensorrt`` or ``auto``.
        batch_size: the number of environments that you run at once.
        slots: for a ``step`` graph, the number of staggered caches, 1 to K; 4 by default. Every
            action is exactly the model's on the window that ``windows`` reports: the whole episode
            in its first K timesteps, then K - ceil(K / slots) + 1 to K timesteps. ``"ring"`` is one
            rolling cache of K timesteps, which is close but not exact.
        threads: threads inside an operator; 0 lets ONNX Runtime choose.
        cuda_graph: record the step once and replay it (see ``OnnxEngine``). Windows then always
            have K timesteps, and shorter ones are padded.
        temperature: for a discrete policy. None takes the most likely action; a number above 0
            draws from the softmax of the logits divided by it.
        seed: seed of those draws.
        on_fault: ``raise``, ``hold`` or ``zero``, see above.

    Raises:
        FileNotFoundError, ContractError, RuntimeError, ImportError: see ``OnnxEngine``.
        TypeError: the artifact is neither a path nor an engine.
        ValueError: an option is unknown or out of range, there are too many rows for memory, or a
            policy cannot run this graph or its outputs.

    Example:
        >>> policy = Policy("hopper.onnx")
        >>> policy.reset(target_return=3000.0)
        >>> action = policy.act(observation)           # first step of an episode
        >>> action = policy.act(observation, reward)   # every later step
    """

    def __new__(cls, artifact: Any = None, **options: Any) -> "Policy":
        """A ``CompiledPolicy`` for a library."""
        if cls is Policy and _is_compiled(artifact):
            from dt_runtime.compiled import CompiledPolicy  # which is a Policy

            return super().__new__(CompiledPolicy)
        return super().__new__(cls)

    def __init__(
        self,
        artifact: str | Path | Engine | Library,
        *,
        provider: str = "cpu",
        batch_size: int = 1,
        slots: int | str | None = None,
        threads: int = 1,
        cuda_graph: bool = False,
        temperature: float | None = None,
        seed: int | None = None,
        on_fault: str = "raise",
    ):
        rng = _checked(batch_size, temperature, seed, on_fault)
        if isinstance(artifact, str | Path):
            if Path(artifact).suffix == ".c":
                raise ArgumentError(
                    f"{artifact} is source code: compile it to a shared library, and pass that"
                )
            self._engine: Engine = OnnxEngine(artifact, provider, threads, cuda_graph)
        elif hasattr(artifact, "contract") and not isinstance(artifact, Library):
            self._engine = artifact
        else:
            raise TypeError(
                f"artifact is {_shown(artifact)}, expected the path of an ONNX file or of a "
                "compiled library, or an engine"
            )
        contract, traits = self._engine.contract, Traits.of(self._engine)
        if contract.graph not in GRAPHS:
            raise ArgumentError(
                f"the artifact's graph is {contract.graph!r}, expected one of {', '.join(GRAPHS)}"
            )
        graph = self._graph = GRAPHS[contract.graph]
        self._output = graph.output(contract)
        if self._output not in {spec.name for spec in contract.outputs}:
            raise ArgumentError(
                f"the artifact has no output {self._output!r}: export it again with "
                f"`--outputs {self._output}`"
            )
        self._describe(contract, batch_size, temperature, on_fault, raw=graph.raw)
        made_for = contract.batch_size
        if made_for not in (None, batch_size):
            raise ArgumentError(
                f"batch_size is {batch_size}, and the file was made for {made_for} (--static-batch)"
            )
        self.provider = traits.provider
        self._slots = slots
        self._memory = graph.memory(contract, self.batch_size, slots, traits.cuda_graph)
        self._bound: dict[int, tuple[Run, np.ndarray]] = {}  # by length: the run and its output
        self._device_runs: list[DeviceRun] = []
        self._scale = 1.0 if graph.raw else contract.return_scale
        self._action_scale = None if graph.raw else single(contract.action.scale)
        self._action_offset = None if graph.raw else single(contract.action.offset)
        rows = () if self.batch_size == 1 else (self.batch_size,)
        self._outputs = (
            Choices(rows, self._temperature, rng)
            if self._discrete
            else Actions(contract, rows, not graph.raw)
        )
        one = self.batch_size == 1
        self._past = _Past(
            elapsed=-1 if one else np.full(self.batch_size, -1, np.int64),
            returns_to_go=0.0 if one else np.zeros(self.batch_size, np.float64),
            timesteps=self._first_timestep if one else np.full(rows, self._first_timestep),
            actions=self._outputs.still(),
            place=self._memory.first_place,
            draws=self._outputs.first_draws,
            started=False,
        )

    def _describe(
        self,
        contract: Contract,
        batch_size: int,
        temperature: float | None,
        on_fault: str,
        raw: bool,
    ) -> None:
        """Keep what does not depend on what runs the policy.

        Args:
            raw: whether statistics and scales are applied there. Otherwise, for the bare network
                of a sequence graph, they are applied here.

        Raises:
            ValueError: a temperature for a continuous policy.
        """
        if temperature is not None and contract.action.kind != "discrete":
            raise ArgumentError(
                "temperature is for discrete policies, and this policy is continuous"
            )
        self.contract: Contract = contract
        self.batch_size = int(batch_size)
        self.on_fault = on_fault
        self.faults = 0
        self.last_fault: str | None = None
        self._discrete = contract.action.kind == "discrete"
        self._temperature = None if temperature is None else float(temperature)
        self._conditioned = any(spec.name == "returns_to_go" for spec in contract.inputs)
        self._first_timestep = contract.first_timestep
        self._last_timestep = contract.first_timestep + contract.max_ep_len - 1
        self._said_clamp = False
        self._busy = False
        state = contract.state
        rows = () if self.batch_size == 1 else (self.batch_size,)
        self._shape = (*rows, *state.shape)  # of an observation
        self._axes = len(self._shape)
        self._frames = any(s.name == "states" and s.dtype == "uint8" for s in contract.inputs)
        self._few = not self._frames and state.size * self.batch_size <= FEW
        mean, std = (None, None) if raw else (single(state.mean), single(state.std))
        self._mean = None if mean is None else mean.reshape(state.shape)
        self._std = None if std is None else std.reshape(state.shape)
        # Raw returns that float32 holds, before and after they are scaled.
        self._limit = MAX_FLOAT32 * min(1.0, contract.return_scale)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            "a Policy cannot be copied or pickled, because it holds a session and the memory that "
            "the session uses: call policy.clone(), or open the artifact again"
        )

    @property
    def timesteps(self) -> np.ndarray:
        """The timestep of each row's last action, [batch_size]; -1 before the first one."""
        elapsed = np.reshape(self._past.elapsed, self.batch_size)
        return np.where(elapsed > 0, self._first_timestep + elapsed - 1, -1)

    @property
    def windows(self) -> np.ndarray:
        """First and last timestep that each row's last action was conditioned on, [batch_size, 2].

        Eager PyTorch gives the same action on this window, except in ``ring`` mode. Both are -1
        before the first action.
        """
        elapsed = np.reshape(self._past.elapsed, self.batch_size)
        last = np.where(elapsed > 0, self._first_timestep + elapsed - 1, -1)
        first = np.where(last < 0, -1, last - self._memory.lengths(elapsed) + 1)
        return np.stack((first, last), axis=1)

    @property
    def returns_to_go(self) -> np.ndarray:
        """The raw return-to-go of each row, [batch_size]."""
        return np.array(self._past.returns_to_go, np.float64).reshape(self.batch_size)

    def reset(
        self,
        target_return: float | np.ndarray | None = None,
        rows: np.ndarray | list[int] | None = None,
    ) -> None:
        """Begin new episodes.

        Args:
            target_return: the raw return to ask for: one number, or one for each row that you
                reset. The default is the contract's first target. A policy that is not
                conditioned on returns needs none.
            rows: indices or a boolean mask of the rows to reset; all rows by default.

        Raises:
            ValueError: you give no target and the contract has none, the target is not finite or
                beyond float32, or the rows do not exist.
            RuntimeError: another call is running.

        After an error the policy is unchanged.
        """
        if self._busy:
            raise RuntimeError(IN_USE)
        try:
            self._busy = True
            index, targets = self._begun(target_return, rows)
            past = self._past
            # The last action and timestep are hidden from the first step of an episode. But they
            # are inputs, and the layers of an int8 graph share one scale: so they begin anew too.
            actions, timesteps = self._outputs.still(), self._first_timestep
            if self.batch_size > 1:
                elapsed, returns_to_go = past.elapsed.copy(), past.returns_to_go.copy()
                elapsed[index], returns_to_go[index] = 0, targets
                started = bool((elapsed >= 0).all())
                still, timesteps = actions, past.timesteps.copy()
                actions = past.actions.copy()
                actions[index], timesteps[index] = still[index], self._first_timestep
            elif len(index):
                elapsed, returns_to_go, started = 0, targets.item(), True
            else:
                return
            # If no row goes on, start at the first place: then equal episodes give equal bits.
            place = self._memory.first_place if len(index) == self.batch_size else past.place
            self._past = past._replace(
                elapsed=elapsed,
                returns_to_go=returns_to_go,
                timesteps=timesteps,
                actions=actions,
                place=place,
                started=started,
            )
        finally:
            self._busy = False

    def act(
        self,
        observation: np.ndarray,
        reward: float | np.ndarray | None = None,
        *,
        applied_action: np.ndarray | None = None,
    ) -> np.ndarray:
        """The next action.

        Args:
            observation: raw, of the contract's state shape, with a leading axis of ``batch_size``.
                With a batch size of 1 you may leave that axis out.
            reward: raw reward of the previous action, one number per row. Rows at the first step
                of an episode ignore it. Pass 0.0 to leave the return-to-go unchanged.
            applied_action: the action that was actually applied, if something between the policy
                and the motors changed the previous one. It replaces that action in the window. A
                call that fails or meets a fault discards it.

        Returns:
            A new array, raw and bounded: ``[batch_size, A]``, or ``[A]`` for an observation
            without the leading axis. Of a discrete policy ``[batch_size]`` indices, or one index.

        Raises:
            RuntimeError: ``reset`` was not called, or another call is running.
            ValueError: a shape or type is wrong, the reward is missing, or, with
                ``on_fault="raise"``, a number is not finite or beyond float32.
            OutputError: the output is NaN or infinite, with ``on_fault="raise"``.

        Errors of the engine pass through. After any error the policy is unchanged.
        """
        if self._busy:
            raise RuntimeError(IN_USE)
        try:
            self._busy = True
            # Python raises KeyboardInterrupt between calls, so the commit comes after the last
            # one. Otherwise Ctrl-C could raise here although the policy has moved on.
            past = self._step(observation, reward, applied_action)
            action = past.actions.copy()  # the caller's own
            if type(observation) is not np.ndarray or observation.ndim != self._axes:
                action = self._like(action, observation)
            self._past = past
            return action
        except (NotFiniteError, OutputError) as fault:
            said = str(fault)
            if self.on_fault == "raise":
                self.faults, self.last_fault = self.faults + 1, said
                raise
            past, action = self._substitute(self._past, reward, applied_action)
            if type(observation) is not np.ndarray or observation.ndim != self._axes:
                action = self._like(action, observation)
            self.faults, self.last_fault, self._past = self.faults + 1, said, past
            return action
        finally:
            self._busy = False

    def clone(self) -> "Policy":
        """An independent policy in the same state, for example for another thread.

        It shares the session and has its own memory; with ``cuda_graph`` it opens the file again.
        It counts its own faults, and draws the same random numbers from here on.

        Raises:
            RuntimeError: another call is running.
        """
        if self._busy:
            raise RuntimeError(IN_USE)
        try:
            self._busy = True
            twin = Policy(
                another(self._engine),
                batch_size=self.batch_size,
                slots=self._slots,
                temperature=self._temperature,
                on_fault=self.on_fault,
            )
            for run in self._device_runs:
                run.pull()
            twin._memory.copy_from(self._memory)
            twin._past, twin._said_clamp = self._past, self._said_clamp
            return twin
        finally:
            self._busy = False

    def _begun(
        self, target_return: float | np.ndarray | None, rows: np.ndarray | list[int] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The rows that begin an episode, and the return to ask for: a number, or one a row.

        Raises:
            ValueError: see ``reset``.
        """
        index = inputs.rows_of(rows, self.batch_size)
        if target_return is None and not self._conditioned:
            target_return = 0.0
        if target_return is None:
            if not self.contract.target_returns:
                raise ArgumentError(
                    "target_return is missing and the contract has none: "
                    "call reset(target_return=...) with a raw return"
                )
            target_return = self.contract.target_returns[0]
        return index, inputs.targets(target_return, len(index), self._limit)

    def _step(
        self,
        observation: np.ndarray,
        reward: float | np.ndarray | None,
        applied_action: np.ndarray | None,
    ) -> _Past:
        """The past after a step. Nothing changes until ``act`` commits it."""
        past, memory = self._past, self._memory
        states = self._states(observation)
        if not past.started:
            raise self._not_started(past)
        returns_to_go = self._returns_after(past, reward)
        last = past.actions if applied_action is None else self._applied(applied_action)
        if self._action_scale is not None:  # in the network's units
            with np.errstate(over="ignore"):
                last = (last - self._action_offset) / self._action_scale
            if applied_action is not None and not np.isfinite(last).all():
                where = np.argwhere(~np.isfinite(last))[0].tolist()
                raise ValueError(
                    f"applied_action{where} is {np.asarray(applied_action)[tuple(where)]}: in the "
                    "network's units, (action - action.offset) / action.scale, it is beyond float32"
                )

        elapsed = past.elapsed
        timesteps = elapsed + self._first_timestep
        if self.batch_size == 1:
            if timesteps > self._last_timestep:
                timesteps = self._latest(timesteps)
            begins, scaled = elapsed == 0, returns_to_go / self._scale
        else:
            if timesteps.max() > self._last_timestep:
                timesteps = self._latest(timesteps)
            begins = not elapsed.all()
            scaled = returns_to_go if self._scale == 1.0 else returns_to_go / self._scale
        if begins:
            self._empty_caches(np.flatnonzero(np.equal(elapsed, 0)))
        place = memory.stage(past.place, states, scaled, timesteps, elapsed, last, past.timesteps)
        taken = elapsed + 1
        length = memory.length(taken)
        run, output = self._bound.get(length) or self._bind(length)
        run()
        actions, draws = self._outputs.take(output, past.draws)
        return _Past(taken, returns_to_go, timesteps, actions, place, draws, True)

    def _substitute(
        self,
        past: _Past,
        reward: float | np.ndarray | None,
        applied_action: np.ndarray | None,
    ) -> tuple[_Past, np.ndarray]:
        """The past and the action after a fault; finite rewards are still subtracted."""
        if not past.started:
            raise self._not_started(past)
        if applied_action is not None:
            self._applied(applied_action)  # not used, but a wrong shape is still a bug
        rewards = self._rewards(past, reward)
        left = past.returns_to_go - np.where(np.isfinite(rewards), rewards, 0.0)
        left = np.where(np.abs(left) <= self._limit, left, past.returns_to_go)
        if self.batch_size == 1:
            left = left.item()
        actions = self._outputs.still()
        if self.on_fault == "hold":
            began = np.reshape(past.elapsed, (-1,) + (1,) * (np.ndim(actions) - 1)) > 0
            actions = np.where(
                began if self.batch_size > 1 else began.item(), past.actions, actions
            )
        return past._replace(returns_to_go=left), actions if actions.ndim else actions[()]

    def _not_started(self, past: _Past) -> RuntimeError:
        rows = np.flatnonzero(np.less(past.elapsed, 0)).tolist()
        return RuntimeError(f"act() was called before reset(): call reset() first (rows {rows})")

    def _empty_caches(self, rows: np.ndarray) -> None:
        """Clear the caches of rows at the first step of an episode, wherever they live."""
        if len(rows) < self.batch_size:
            for run in self._device_runs:
                run.pull()
        self._memory.empty(rows)
        for run in self._device_runs:
            run.push()

    def _bind(self, length: int) -> tuple[Run, np.ndarray]:
        """The run at this length on the memory's own arrays, and its output.

        The output is [B, A], or [A] for one row. Called once for each length.
        """
        size, every = self.contract.action.size, self._graph.every_timestep
        output = np.zeros((self.batch_size, *((length,) if every else ()), size), np.float32)
        last = output[:, -1] if every else output
        outputs = {self._output: output, **self._memory.caches()}
        run = self._engine.bind(self._memory.view(length), outputs)
        if isinstance(run, DeviceRun):
            self._device_runs.append(run)
        self._bound[length] = bound = run, last[0] if self.batch_size == 1 else last
        return bound

    def _states(self, observation: np.ndarray) -> np.ndarray:
        """The observation of every row, [S...] or [B, S...], in the network's units."""
        if self._frames:
            frames = self._row("observation", observation, self._shape)
            return inputs.integers("observation", frames, self._shape, 255)
        states = observation
        if not (
            self._few
            and type(states) is np.ndarray
            and states.shape == self._shape
            and states.dtype.kind == "f"
            and hypot(*states.ravel().tolist()) <= MAX_FLOAT32  # and so is every entry
        ):
            observation = self._row("observation", observation, self._shape)
            states = inputs.floats("observation", observation, self._shape)
        if self._mean is not None:
            with np.errstate(over="ignore"):
                states = (states.astype(np.float32) - self._mean) / self._std
            if not np.isfinite(states).all():
                where = np.argwhere(~np.isfinite(states))[0].tolist()
                raise NotFiniteError(
                    f"observation{where} is {np.asarray(observation)[tuple(where)]}: normalised, "
                    "(observation - state.mean) / state.std, it is beyond float32"
                )
        return states

    def _row(self, field: str, value: Any, shape: tuple[int, ...]) -> Any:
        """The value; of a single row without the axis of a batch of one, if it came with that."""
        return inputs.row(field, value, shape) if self.batch_size == 1 else value

    def _like(self, action: np.ndarray, observation: Any) -> np.ndarray:
        """The action, with the axis of a batch of one if the observation came with that."""
        return action[None] if np.ndim(observation) > self._axes else action

    def _applied(self, action: np.ndarray) -> np.ndarray:
        """The action that was actually applied: [A] or [B, A], or indices.

        Raises:
            ValueError: it is no action.
        """
        size = self.contract.action.size
        rows = () if self.batch_size == 1 else (self.batch_size,)
        shape = rows if self._discrete else (*rows, size)
        action = self._row("applied_action", action, shape)
        if self._discrete:
            return inputs.integers("applied_action", action, shape, size - 1)
        try:
            return inputs.floats("applied_action", action, shape)
        except NotFiniteError as error:
            raise ValueError(str(error)) from None  # a bug in the caller: no sensor reports actions

    def _returns_after(self, past: _Past, reward: float | np.ndarray | None) -> PerRow:
        """The return-to-go after the rewards, which rows at the first step of an episode ignore.

        Raises:
            NotFiniteError: a reward is not finite, or what is left is beyond float32.
            ValueError: no rewards, or of another shape.
        """
        if isinstance(reward, float) and self.batch_size == 1:  # the usual case
            if past.elapsed == 0:
                return past.returns_to_go
            left = past.returns_to_go - float(reward)
            if -self._limit <= left <= self._limit:
                return left
        elif (  # the same of many rows
            type(reward) is np.ndarray
            and reward.dtype == np.float64
            and reward.shape == (self.batch_size,)
            and self.batch_size > 1
            and past.elapsed.all()
        ):
            left = past.returns_to_go - reward
            if np.abs(left).max() <= self._limit:
                return left
        rewards = self._rewards(past, reward)
        left = past.returns_to_go - rewards
        if not np.isfinite(rewards).all():
            raise NotFiniteError(f"reward is {reward}, expected finite numbers")
        for row in np.flatnonzero(~(np.abs(left) <= self._limit)):
            raise NotFiniteError(
                f"reward is {np.reshape(rewards, -1)[row]}: the return-to-go would be "
                f"{np.reshape(left, -1)[row]}, expected at most {self._limit:.4g} in size "
                "(float32, after the return scale too)"
            )
        return left

    def _rewards(self, past: _Past, reward: float | np.ndarray | None) -> PerRow:
        """Rewards of rows in mid-episode, zero elsewhere; one number for one row."""
        running = np.greater(past.elapsed, 0)
        if reward is None:
            if np.any(running):
                raise ValueError(
                    "reward is missing: after the first step of an episode, pass the raw reward "
                    "of the last action, or 0.0 to leave the return-to-go unchanged"
                )
            return 0.0 if self.batch_size == 1 else np.zeros(self.batch_size)
        rewards = np.where(running, inputs.doubles("reward", reward, self.batch_size), 0.0)
        return rewards.item() if self.batch_size == 1 else rewards

    def _latest(self, timesteps: PerRow) -> PerRow:
        """Timesteps clamped to the last one; warns once."""
        if not self._said_clamp:
            self._say_clamp(stacklevel=5)
        if self.batch_size == 1:
            return self._last_timestep
        return np.minimum(timesteps, self._last_timestep)

    def _say_clamp(self, stacklevel: int) -> None:
        """Warn who called ``act``, so many calls up from here."""
        self._said_clamp = True
        warnings.warn(
            f"an episode is longer than max_ep_len {self.contract.max_ep_len}: "
            f"its timesteps stay at {self._last_timestep} from here on",
            RuntimeWarning,
            stacklevel=stacklevel,
        )


Policy.__new__.__wrapped__ = Policy.__init__  # type: ignore[attr-defined]  # for help(Policy)


def _checked(batch_size: Any, temperature: Any, seed: Any, on_fault: Any) -> np.random.Generator:
    """The random numbers of a policy with these options.

    Raises:
        ValueError: an option is of the wrong type or out of range.
    """
    whole = isinstance(batch_size, int | np.integer) and not isinstance(batch_size, bool)
    if not whole or not 1 <= batch_size <= MAX_ROWS:
        raise ArgumentError(
            f"batch_size is {_shown(batch_size)}, expected a whole number from 1 to {MAX_ROWS}"
        )
    if not isinstance(on_fault, str) or on_fault not in ON_FAULT:
        raise ArgumentError(
            f"on_fault is {_shown(on_fault)}, expected one of {', '.join(ON_FAULT)}"
        )
    if temperature is not None and not _is_temperature(temperature):
        raise ArgumentError(
            f"temperature is {_shown(temperature)}, expected a number above 0, or None"
        )
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"seed is {_shown(seed)}, expected a whole number from 0, or None"
        ) from None


def _is_compiled(artifact: Any) -> bool:
    if isinstance(artifact, str | Path):
        return is_library(artifact)
    return isinstance(artifact, Library)


def _is_temperature(value: Any) -> bool:
    real = isinstance(value, Real) and not isinstance(value, bool)
    return real and 0 < value <= MAX_FLOAT64
