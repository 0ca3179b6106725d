"""The rollout loop's heart: raw observation and reward in, raw action out."""

import warnings
from collections.abc import Callable
from math import isfinite
from pathlib import Path

import numpy as np

from dt_runtime.contract import Contract
from dt_runtime.engine import Engine, OnnxEngine
from dt_runtime.slots import DEFAULT, Slots, fixed_slots
from dt_runtime.window import Window

GRAPHS = ("policy", "step", "sequence")


class Policy:
    """A Decision Transformer in closed loop, for one episode or many at once.

    It keeps the context window, the timesteps and the returns-to-go, so that the caller hands over
    raw observations and raw rewards and gets raw actions (Chen et al. 2021, Algorithm 1).

    Args:
        artifact: an ONNX file of graph ``policy``, ``step`` or ``sequence``, or an engine.
        provider: ``cpu``, ``cuda``, ``tensorrt`` or ``auto``.
        batch_size: how many environments are run at once.
        slots: of a ``step`` graph: how many staggered caches, 1 to K. Every action is exactly the
            model's on a window that ``windows`` reports: the whole episode in its first K
            timesteps, then K - K/slots + 1 to K timesteps. ``"ring"`` is one rolling cache of K
            timesteps, which is close but not exact. Without it, 4.
        threads: threads inside an operator; 0 leaves it to ONNX Runtime.
        cuda_graph: record the step once and replay it (see ``OnnxEngine``); windows are then always
            K long, shorter ones padded.
        temperature: of a discrete policy: None takes the likeliest action, a number above 0 draws
            from the softmax of the logits divided by it.
        seed: of those draws.

    Raises:
        FileNotFoundError, ContractError, RuntimeError, ImportError: see ``OnnxEngine``.
        ValueError: a batch size below 1, or a graph or outputs that this class cannot run.

    Example:
        >>> policy = Policy("hopper.onnx")
        >>> policy.reset(target_return=3000.0)
        >>> action = policy.act(observation)           # first step of an episode
        >>> action = policy.act(observation, reward)   # every later step
    """

    def __init__(
        self,
        artifact: str | Path | Engine,
        *,
        provider: str = "cpu",
        batch_size: int = 1,
        slots: int | str | None = None,
        threads: int = 1,
        cuda_graph: bool = False,
        temperature: float | None = None,
        seed: int | None = None,
    ):
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected at least 1")
        if temperature is not None and not 0 < temperature < np.inf:
            raise ValueError(f"temperature is {temperature}, expected more than 0, or None")
        is_path = isinstance(artifact, str | Path)
        self._engine = OnnxEngine(artifact, provider, threads, cuda_graph) if is_path else artifact
        contract = self._engine.contract
        if contract.graph not in GRAPHS:
            raise ValueError(
                f"the artifact's graph is {contract.graph!r}, expected one of {GRAPHS}"
            )
        if contract.graph == "sequence" and "action_preds" not in {
            s.name for s in contract.outputs
        }:
            raise ValueError(
                "the artifact puts out no action_preds: export the sequence with that output"
            )
        if temperature is not None and contract.action.kind != "discrete":
            raise ValueError("temperature belongs to discrete policies, and this one is continuous")
        made_for = contract.batch_size
        if made_for not in (None, batch_size):
            raise ValueError(
                f"batch_size is {batch_size}, and the file was made for {made_for} (--static-batch)"
            )
        self.contract: Contract = contract
        self.batch_size = batch_size
        self.provider: str = getattr(self._engine, "provider", "custom")

        self._discrete = contract.action.kind == "discrete"
        self._temperature, self._rng = temperature, np.random.default_rng(seed)
        self._conditioned = any(spec.name == "returns_to_go" for spec in contract.inputs)
        one_shape = getattr(self._engine, "cuda_graph", False)
        self._window = _memory(contract, batch_size, slots, one_shape)
        self._frames = self._window.arrays["states"].dtype == np.uint8
        self._runs: dict[int, Callable[[], None]] = {}
        self._outputs: dict[int, np.ndarray] = {}
        self._elapsed = np.full(batch_size, -1, np.int64)  # steps taken; -1 before the first reset
        self._returns_to_go = np.zeros(batch_size, np.float64)  # raw
        self._started = False  # whether every row was reset
        self._last_timestep = contract.first_timestep + contract.max_ep_len - 1
        self._said_clamp = False

        # A sequence graph is the bare network: statistics, scale and bounds are applied here.
        bare = self._bare = contract.graph == "sequence"
        state, action = contract.state, contract.action
        self._mean = _array(state.mean, state.shape) if bare else None
        self._std = _array(state.std, state.shape) if bare else None
        self._scale = contract.return_scale if bare else 1.0
        self._action_scale = _array(action.scale, (action.size,)) if bare else None
        self._action_offset = _array(action.offset, (action.size,)) if bare else None
        self._low = _array(action.low, (action.size,)) if bare else None
        self._high = _array(action.high, (action.size,)) if bare else None

    @property
    def timesteps(self) -> np.ndarray:
        """The timestep of each row's last action, [batch_size]; -1 before the first one."""
        return np.where(self._elapsed > 0, self.contract.first_timestep + self._elapsed - 1, -1)

    @property
    def windows(self) -> np.ndarray:
        """First and last timestep that each row's last action was conditioned on, [batch_size, 2].

        Eager PyTorch on that very window gives that very action, save in the mode ``ring``. Both
        are -1 before the first action.
        """
        last = self.timesteps
        first = np.where(last < 0, -1, last - self._window.lengths + 1)
        return np.stack((first, last), axis=1)

    @property
    def returns_to_go(self) -> np.ndarray:
        """What is still asked of each row, raw, [batch_size]."""
        return self._returns_to_go.copy()

    def reset(
        self,
        target_return: float | np.ndarray | None = None,
        rows: np.ndarray | list[int] | None = None,
    ) -> None:
        """Begin new episodes.

        Args:
            target_return: the raw return to ask for: one number, or one for each row that is
                reset. Without it, the contract's first target. A policy that is not conditioned
                on returns needs none.
            rows: indices or a boolean mask of the rows to reset; all of them without it.

        Raises:
            ValueError: no target is given and the contract has none, it is not finite, or the
                rows do not exist.
        """
        index = self._rows(rows)
        if target_return is None and not self._conditioned:
            target_return = 0.0
        if target_return is None:
            if not self.contract.target_returns:
                raise ValueError(
                    "target_return is missing and the contract has none: "
                    "call reset(target_return=...) with a raw return"
                )
            target_return = self.contract.target_returns[0]
        targets = np.asarray(target_return, np.float64)
        if targets.shape not in ((), (len(index),)):
            raise ValueError(
                f"target_return has shape {targets.shape}, expected a number or ({len(index)},)"
            )
        if not np.isfinite(targets).all():
            raise ValueError(f"target_return is {target_return}, expected finite numbers")
        self._window.clear(index)
        self._elapsed[index] = 0
        self._returns_to_go[index] = targets
        self._started = bool((self._elapsed >= 0).all())

    def act(
        self,
        observation: np.ndarray,
        reward: float | np.ndarray | None = None,
        *,
        applied_action: np.ndarray | None = None,
    ) -> np.ndarray:
        """The next action.

        Args:
            observation: raw, of the contract's state shape, with a leading axis of ``batch_size``
                where that is above 1.
            reward: raw reward of the previous action, one number a row. Rows at the first step of
                an episode ignore it; pass 0.0 to keep the return-to-go where it is.
            applied_action: what was really done instead of the previous action, where something
                between policy and motors changed it; the next window then tells the truth.

        Returns:
            A new array, raw and bounded: ``[A]``, or ``[batch_size, A]`` for many rows. Of a
            discrete policy the action's index, or ``[batch_size]`` of them.

        Raises:
            RuntimeError: ``reset`` was not called.
            ValueError: a wrong shape, a NaN or an infinity, or a reward that is missing.
            After an error the policy is as it was before the call.
        """
        states = self._states(observation)
        if not self._started:
            rows = np.flatnonzero(self._elapsed < 0).tolist()
            raise RuntimeError(f"act before reset: call reset() first (rows {rows})")
        rewards = self._rewards(reward)
        if applied_action is not None:
            self._remember(self._applied(applied_action))

        window = self._window
        if self.batch_size == 1:  # plain numbers: arrays of one cost many times as much
            elapsed = self._elapsed.item()
            returns_to_go = self._returns_to_go.item() - rewards
            window.push(states, returns_to_go / self._scale, self._timesteps(elapsed), elapsed)
            self._returns_to_go[0], self._elapsed[0] = returns_to_go, elapsed + 1
        else:
            self._returns_to_go -= rewards
            returns_to_go = self._returns_to_go / self._scale
            window.push(states, returns_to_go, self._timesteps(self._elapsed), self._elapsed)
            self._elapsed += 1
        length = window.length
        run = self._runs.get(length) or self._bind(length)
        run()
        actions = self._choose(self._outputs[length])
        self._remember(actions)
        return actions[0] if self.batch_size == 1 else actions

    def _choose(self, output: np.ndarray) -> np.ndarray:
        """Actions of a graph's output: bounded, or for logits the likeliest or a drawn index."""
        if self._discrete:
            if self._temperature is None:
                return output.argmax(axis=1)
            # The maximum of logits plus Gumbel noise is a draw from their softmax.
            return (output / self._temperature + self._rng.gumbel(size=output.shape)).argmax(axis=1)
        actions = output.copy()
        if not self._bare:
            return actions
        if self._action_scale is not None:
            actions *= self._action_scale
            actions += self._action_offset
        if self._low is not None:
            np.maximum(actions, self._low, out=actions)
        if self._high is not None:
            np.minimum(actions, self._high, out=actions)
        return actions

    def _remember(self, actions: np.ndarray) -> None:
        """Put the actions of the newest timestep into the window, in the network's units."""
        if self._action_scale is not None:
            actions = (actions - self._action_offset) / self._action_scale
        self._window.set_last_actions(actions)

    def _bind(self, length: int) -> Callable[[], None]:
        """A run on the window's own memory at this length; made once a length."""
        size = self.contract.action.size
        if self.contract.graph != "sequence":
            name = "logits" if self._discrete else "action"
            output = np.zeros((self.batch_size, size), np.float32)
            self._outputs[length] = output
        else:
            name = "action_preds"
            output = np.zeros((self.batch_size, length, size), np.float32)
            self._outputs[length] = output[:, -1]
        outputs = {name: output, **self._window.caches()}
        run = self._engine.bind(self._window.view(length), outputs)
        self._runs[length] = run
        return run

    def _states(self, observation: np.ndarray) -> np.ndarray:
        """The observation of every row, [batch_size, ...], in the network's units."""
        shape = self.contract.state.shape
        if self._frames:
            return self._integers("observation", observation, shape, 255).astype(np.uint8)
        states = self._plain(observation, shape) if self.batch_size == 1 else None
        if states is None:
            states = self._checked("observation", observation, shape)
        if self._mean is not None:
            states = (states - self._mean) / self._std
        return states

    def _plain(self, value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
        """``value`` as float32 if all is well, in a fifth of the time that ``_checked`` takes."""
        try:
            array = np.asarray(value, np.float32)
        except (TypeError, ValueError):
            return None
        if array.shape != shape:
            return None
        squares = array.dot(array) if array.ndim == 1 else np.vdot(array, array)
        return array if isfinite(squares) else None  # a finite sum has finite terms

    def _applied(self, action: np.ndarray) -> np.ndarray:
        size = self.contract.action.size
        if self._discrete:
            return self._integers("applied_action", action, (), size - 1)
        return self._checked("applied_action", action, (size,))

    def _integers(
        self, field: str, value: np.ndarray, shape: tuple[int, ...], largest: int
    ) -> np.ndarray:
        """``value`` as integers from 0 to ``largest``, of shape ``[batch_size, *shape]``."""
        array = np.asarray(value)
        expected = shape if self.batch_size == 1 else (self.batch_size, *shape)
        if array.shape != expected:
            raise ValueError(f"{field} has shape {array.shape}, expected {expected}")
        if array.dtype.kind not in "iu":
            raise ValueError(f"{field} has {array.dtype}, expected integers from 0 to {largest}")
        for bound in (array.min(), array.max()):
            if not 0 <= bound <= largest:
                raise ValueError(f"{field} holds {bound}, expected 0 to {largest}")
        return array.reshape(self.batch_size, *shape)

    def _checked(self, field: str, value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """``value`` as finite float32 of shape ``[batch_size, *shape]``."""
        try:
            array = np.asarray(value, np.float32)
        except (TypeError, ValueError):
            raise ValueError(f"{field} is no array of numbers: {value!r:.80}") from None
        expected = shape if self.batch_size == 1 else (self.batch_size, *shape)
        if array.shape != expected:
            raise ValueError(f"{field} has shape {array.shape}, expected {expected}")
        if not np.isfinite(array).all():
            where = np.argwhere(~np.isfinite(array))[0].tolist()
            raise ValueError(f"{field}{where} is {array[tuple(where)]}, expected finite numbers")
        return array.reshape(self.batch_size, *shape)

    def _rewards(self, reward: float | np.ndarray | None) -> float | np.ndarray:
        """What to take off the returns-to-go: rewards of rows in mid-episode, zero elsewhere.

        One number for one row.
        """
        if type(reward) is float and self.batch_size == 1 and isfinite(reward):  # the usual case
            return reward if self._elapsed.item() else 0.0
        running = self._elapsed > 0
        if reward is None:
            if running.any():
                raise ValueError(
                    "reward is missing: after an episode's first step pass the raw reward of the "
                    "last action, or 0.0 to keep the return-to-go where it is"
                )
            return 0.0 if self.batch_size == 1 else np.zeros(self.batch_size)
        rewards = np.asarray(reward, np.float64)
        if rewards.shape != (self.batch_size,) and (self.batch_size > 1 or rewards.size != 1):
            expected = "a number" if self.batch_size == 1 else f"shape ({self.batch_size},)"
            raise ValueError(f"reward has shape {rewards.shape}, expected {expected}")
        rewards = np.where(running, rewards.reshape(self.batch_size), 0.0)
        if not np.isfinite(rewards).all():
            raise ValueError(f"reward is {reward}, expected finite numbers")
        return rewards.item() if self.batch_size == 1 else rewards

    def _timesteps(self, elapsed: int | np.ndarray) -> int | np.ndarray:
        """The timestep after so many steps; one number for one row, which is faster."""
        timesteps = elapsed + self.contract.first_timestep
        latest = timesteps if self.batch_size == 1 else timesteps.max()
        if latest <= self._last_timestep:
            return timesteps
        if not self._said_clamp:
            self._said_clamp = True
            warnings.warn(
                f"an episode is longer than max_ep_len {self.contract.max_ep_len}: "
                f"its timesteps stay at {self._last_timestep} from here on",
                RuntimeWarning,
                stacklevel=3,
            )
        return np.minimum(timesteps, self._last_timestep)

    def _rows(self, rows: np.ndarray | list[int] | None) -> np.ndarray:
        if rows is None:
            return np.arange(self.batch_size)
        index = np.asarray(rows)
        if index.dtype == bool:
            if index.shape != (self.batch_size,):
                raise ValueError(f"rows has shape {index.shape}, expected ({self.batch_size},)")
            return np.flatnonzero(index)
        index = index.astype(np.int64).reshape(-1)
        if ((index < 0) | (index >= self.batch_size)).any():
            raise ValueError(f"rows is {index.tolist()}, expected 0 to {self.batch_size - 1}")
        return index


def _memory(
    contract: Contract, rows: int, slots: int | str | None, one_shape: bool
) -> Window | Slots:
    if contract.graph == "step":
        default = fixed_slots(contract) or min(DEFAULT, contract.context_length)
        return Slots(contract, rows, default if slots is None else slots)
    if slots is not None:
        raise ValueError(
            f"slots is {slots!r}, but the artifact's graph is {contract.graph!r}: only a step "
            "graph has caches (`dt-export onnx --graph step`)"
        )
    return Window(contract, rows, padded=one_shape)


def _array(values: tuple[float, ...] | None, shape: tuple[int, ...]) -> np.ndarray | None:
    return None if values is None else np.asarray(values, np.float32).reshape(shape)
