"""A policy that was compiled: its whole loop runs in C, one foreign call a step."""

import copy
import ctypes
import math
import sys
from collections.abc import Callable
from itertools import starmap
from math import hypot
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dt_runtime.checks import MAX_FLOAT32
from dt_runtime.contract import StateSpec
from dt_runtime.errors import ArgumentError
from dt_runtime.inputs import NotFiniteError
from dt_runtime.inputs import shown as _shown
from dt_runtime.layout import MAX_BYTES, PerRow
from dt_runtime.library import FAULTS, OK, Library, check_provider
from dt_runtime.outputs import DAMAGED, Actions, Choices, OutputError, check_finite
from dt_runtime.policy import IN_USE, Policy, _checked, _Past
from dt_runtime.schedule import RING, Schedule

_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
DRAWN = 256  # random numbers that are drawn at a time

Calls = tuple[tuple[Any, ...], ...]  # the arguments of C, for each row

# How C is called. Python looks for signals after each call in its own code, so an interrupt could
# come between the C call, which moves the policy on, and the line that takes note of it. Unpacking
# an iterator that makes the call is one instruction without such a look. What follows it until
# ``return`` are assignments and operators for the same reason.


class CompiledPolicy(Policy):
    """A ``Policy`` that was compiled from a file of ``dt-export c``.

    ``Policy("hopper.so")`` makes one. It has the same methods and attributes and raises the same
    errors. Each row is a context of its own in the library, [batch_size, bytes], so any batch size
    will do. The number of slots is fixed in the file.

    With a temperature, the library draws by one random number for each action, which NumPy's
    generator gives. The draws are from the same distribution as those of an ONNX file, but they are
    other draws, even with the same seed.

    Args:
        artifact: the path of the library, or a ``Library``.
        provider: ``cpu`` or ``auto``: a library runs on the CPU.
        batch_size: the number of environments that you run at once.
        slots: None, or the number that the file was made for.
        threads: 0 or 1: a step runs in the thread that calls ``act``.
        cuda_graph: False.
        temperature: see ``Policy``.
        seed: see ``Policy``.
        on_fault: see ``Policy``.

    Raises:
        FileNotFoundError, ContractError: see ``Library``.
        ValueError: an option is unknown, out of range, or nothing that a library has.
    """

    def __init__(
        self,
        artifact: str | Path | Library,
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
        library = artifact if isinstance(artifact, Library) else Library(artifact)
        self._library, contract = library, library.contract
        _check_options(library, provider, slots, threads, cuda_graph)
        needed = batch_size * library.stride
        if needed > MAX_BYTES:
            raise ArgumentError(
                f"batch_size is {batch_size}, which takes {needed / 2**30:.1f} GiB, expected at "
                f"most {MAX_BYTES / 2**30:.0f} GiB: run fewer rows in one policy"
            )
        self._describe(contract, batch_size, temperature, on_fault, raw=True)
        self.provider, self._call = library.provider, library.act
        self._c_action = np.dtype(np.int32 if self._discrete else np.float32)
        size, rows = contract.action.size, () if self.batch_size == 1 else (self.batch_size,)
        self._outputs = (
            Choices(rows, None, rng) if self._discrete else Actions(contract, rows, False)
        )

        # The memory that C reads and writes, and where each row's part of it is.
        b = self.batch_size
        self._contexts = library.contexts(b)
        self._at = _pointers(self._contexts)
        self._observations = np.zeros((b, *contract.state.shape), np.float32)
        self._observed = self._observations[0] if b == 1 else self._observations
        self._applied_actions = np.zeros((b, 1 if self._discrete else size), self._c_action)
        # C's int32 is the low half of an int64, which is what a policy gives.
        self._actions = np.zeros((b, 1), np.int64) if self._discrete else np.zeros((b, size), "f4")
        low = 4 if self._discrete and sys.byteorder == "big" else 0
        self._given = self._actions.reshape(rows if self._discrete else (*rows, size))
        self._reward = tuple(ctypes.c_double() for _ in range(b))
        observations, given = _pointers(self._observations), _pointers(self._actions, low)
        self._calls: Calls = tuple(zip(self._at, observations, self._reward, given, strict=True))
        self._fine = [OK] * b

        # What is not in the contexts: steps taken (-1 before the first reset), rewards of calls
        # with a fault, which C gets with the next call, and the last actions.
        self._elapsed: PerRow = -1 if b == 1 else np.full(b, -1, np.int64)
        self._nothing: PerRow = 0.0 if b == 1 else np.zeros(b)
        self._owed: PerRow = self._nothing
        self._held = self._outputs.still()
        self._drawn = _Drawn(rng, np.zeros((0, b)), 0)
        self._quick_steps: float = contract.max_ep_len if self._is_quick() else 0
        # Of many rows: what a call changes, as it was before, and whether a call has changed it
        # and was not committed.
        self._past_bytes = self._contexts[:, : library.past_bytes]
        self._before = np.zeros_like(self._past_bytes)
        self._moved = False

    @property
    def timesteps(self) -> np.ndarray:
        """The timestep of each row's last action, [batch_size]; -1 before the first one."""
        self._settle_unless_busy()
        return np.array([self._library.timestep(at) for at in self._at], np.int64)

    @property
    def windows(self) -> np.ndarray:
        """First and last timestep that each row's last action was conditioned on, [batch_size, 2].

        Eager PyTorch gives the same action on this window. Both are -1 before the first action.
        """
        self._settle_unless_busy()
        windows = np.zeros((self.batch_size, 2), np.int32)
        for at, window in zip(self._at, windows, strict=True):
            first = window.ctypes.data
            self._library.window(at, first, first + window.itemsize)
        return windows.astype(np.int64)

    @property
    def returns_to_go(self) -> np.ndarray:
        """The raw return-to-go of each row, [batch_size]."""
        self._settle_unless_busy()
        return self._left()

    @property
    def last_actions(self) -> np.ndarray:
        """The last actions, [batch_size, A], or [batch_size] indices; zeros before the first."""
        rows = (self.batch_size,) if self._discrete else (self.batch_size, -1)
        return np.array(self._held).reshape(rows)

    @property
    def logits(self) -> np.ndarray:
        """The logits of each row's last action, [batch_size, A], of a discrete policy.

        Raises:
            ValueError: the policy is continuous.
        """
        if not self._discrete:
            raise ArgumentError("logits are of discrete policies, and this policy is continuous")
        self._settle_unless_busy()
        rows = (self._library.logits(at) for at in self._at)
        numbers = ctypes.c_float * self.contract.action.size
        return np.array([numbers.from_address(row) for row in rows], np.float32)

    def reset(
        self,
        target_return: float | np.ndarray | None = None,
        rows: np.ndarray | list[int] | None = None,
    ) -> None:
        """Begin new episodes; see ``Policy.reset``."""
        if self._busy:
            raise RuntimeError(IN_USE)
        try:
            self._busy = True
            self._settle()
            index, targets = self._begun(target_return, rows)
            if not len(index):
                return
            elapsed: PerRow = 0
            owed: PerRow = 0.0
            if self.batch_size > 1:
                elapsed, owed = self._elapsed.copy(), self._owed.copy()
                elapsed[index], owed[index] = 0, 0.0
            asked = np.broadcast_to(targets, index.shape).tolist()
            calls = [(self._at[row], target) for row, target in zip(index, asked, strict=True)]
            fine = [OK] * len(calls)
            self._keep()
            faults = [*starmap(self._library.reset, calls)]
            if faults != fine:
                row = [fault != OK for fault in faults].index(True)
                what = f"target_return is {asked[row]}"
                raise ArgumentError(f"{what}: the library says {_name(faults[row])}")
            self._elapsed, self._owed, self._moved = elapsed, owed, False
        finally:
            self._busy = False

    def act(
        self,
        observation: np.ndarray,
        reward: float | np.ndarray | None = None,
        *,
        applied_action: np.ndarray | None = None,
    ) -> np.ndarray:
        """The next action; see ``Policy.act``."""
        if self._busy:
            raise RuntimeError(IN_USE)
        try:
            self._busy = True
            elapsed, plain = self._elapsed, type(observation) is np.ndarray
            if (  # the usual case: nothing to convert, and C checks the rest
                plain
                and isinstance(reward, float)
                and applied_action is None
                and self._quick_steps > elapsed > 0
                and observation.shape == self._shape
                and (
                    observation.dtype is _FLOAT32
                    or (
                        observation.dtype is _FLOAT64
                        and hypot(*observation.ravel().tolist()) <= MAX_FLOAT32
                    )
                )
                and self._owed == 0.0
            ):
                self._observed[...] = observation
                self._reward[0].value = reward
                # This unpacking calls C. From here on nothing else may be called: see above.
                (fault,) = starmap(self._call, self._calls)
                if fault == OK:
                    self._elapsed = elapsed + 1
                    self._held = +self._given
                    return +self._given
                faults = [fault]
            else:
                lonely = not plain or observation.ndim != self._axes  # maybe an axis more
                lonely = lonely and np.ndim(observation) > self._axes
                call, calls, taken, drawn = self._stage(observation, reward, applied_action)
                self._keep()
                faults = [*starmap(call, calls)]
                if faults == self._fine:
                    self._elapsed, self._drawn, self._owed = taken, drawn, self._nothing
                    self._moved, self._held = False, +self._given
                    return (+self._given)[None] if lonely else +self._given
            raise self._fault(faults, observation, reward, applied_action)
        except (NotFiniteError, OutputError) as fault_:
            said = str(fault_)
            if self.on_fault == "raise":
                self.faults, self.last_fault = self.faults + 1, said
                raise
            self._settle()
            before = self._now()
            past, action = self._substitute(before, reward, applied_action)
            action = self._like(action, observation)
            owed = self._owed + (before.returns_to_go - past.returns_to_go)
            self.faults, self.last_fault, self._owed = self.faults + 1, said, owed
            return action
        finally:
            self._busy = False

    def clone(self) -> "CompiledPolicy":
        """An independent policy in the same state, for example for another thread.

        It shares the library and has its own contexts. It counts its own faults, and draws the same
        random numbers from here on.

        Raises:
            RuntimeError: another call is running.
        """
        if self._busy:
            raise RuntimeError(IN_USE)
        try:
            self._busy = True
            self._settle()
            twin = CompiledPolicy(
                self._library,
                batch_size=self.batch_size,
                temperature=self._temperature,
                on_fault=self.on_fault,
            )
            twin._contexts[:] = self._contexts
            twin._elapsed, twin._owed = copy.copy(self._elapsed), copy.copy(self._owed)
            twin._held, twin._drawn = self._held, self._drawn
            twin._said_clamp, twin._quick_steps = self._said_clamp, self._quick_steps
            return twin
        finally:
            self._busy = False

    def _stage(
        self,
        observation: np.ndarray,
        reward: float | np.ndarray | None,
        applied_action: np.ndarray | None,
    ) -> tuple[Callable[..., int], Calls, PerRow, "_Drawn"]:
        """Check what was passed and put it where C reads it.

        Returns:
            The function of C, its arguments for each row, and what becomes of the steps taken and
            the random numbers when all calls have gone well.

        Raises:
            NotFiniteError, ValueError, RuntimeError: see ``act``.
        """
        self._settle()
        states, past = self._states(observation), self._now()
        if not past.started:
            raise self._not_started(past)
        self._returns_after(past, reward)  # for its checks: C does the sum
        rewards = self._rewards(past, reward) + self._owed
        for place, number in zip(self._reward, np.reshape(rewards, -1).tolist(), strict=True):
            place.value = number
        if applied_action is not None:
            applied = self._applied(applied_action)
            self._applied_actions[...] = np.reshape(applied, self._applied_actions.shape)
        self._observed[...] = states
        if not self._said_clamp and np.max(past.elapsed) >= self.contract.max_ep_len:
            self._say_clamp(stacklevel=4)
            self._quick_steps = math.inf if self._is_quick() else 0
        taken = past.elapsed + 1
        if self._temperature is not None:
            drawn = self._drawn.next()
            return (
                self._library.draw,
                self._drawing(drawn, applied_action is not None),
                taken,
                drawn,
            )
        if applied_action is None:
            return self._call, self._calls, taken, self._drawn
        applied_at = _pointers(self._applied_actions)
        calls = tuple(
            (*call[:3], at, call[3]) for call, at in zip(self._calls, applied_at, strict=True)
        )
        return self._library.act_applied, calls, taken, self._drawn

    def _drawing(self, drawn: "_Drawn", applied: bool) -> Calls:
        """The arguments of ``draw``, for each row."""
        assert self._temperature is not None
        temperature = ctypes.c_double(self._temperature)
        randoms = (ctypes.c_double(number) for number in drawn.numbers)
        actions = _pointers(self._applied_actions) if applied else (None,) * self.batch_size
        return tuple(
            (*call[:3], action, temperature, random, call[3])
            for call, action, random in zip(self._calls, actions, randoms, strict=True)
        )

    def _is_quick(self) -> bool:
        """Whether most steps need no more than C's own checks."""
        return self.batch_size == 1 and self._few and self._temperature is None

    def _now(self) -> _Past:
        """The past as it stands, for the checks that all policies share."""
        returns_to_go = self._left()
        elapsed = self._elapsed
        return _Past(
            elapsed=elapsed,
            returns_to_go=returns_to_go.item() if self.batch_size == 1 else returns_to_go,
            timesteps=None,
            actions=self._held,
            place=None,
            draws=None,
            started=bool(np.all(np.greater_equal(elapsed, 0))),
        )

    def _left(self) -> np.ndarray:
        """Returns-to-go, [B], without the rewards that C has not got yet."""
        left = np.array([self._library.return_to_go(at) for at in self._at], np.float64)
        left -= self._owed
        return left

    def _keep(self) -> None:
        """Keep the past of many rows: the calls for some may go well and fail for others."""
        if self.batch_size > 1:
            np.copyto(self._before, self._past_bytes)
            self._moved = True

    def _settle(self) -> None:
        """Undo a call that was not committed, because it failed or was interrupted."""
        if self._moved:
            np.copyto(self._past_bytes, self._before)
            self._moved = False

    def _settle_unless_busy(self) -> None:
        """For readers: a call that is running in another thread has not failed."""
        if not self._busy:
            self._settle()

    def _fault(
        self,
        faults: list[int],
        observation: np.ndarray,
        reward: float | np.ndarray | None,
        applied_action: np.ndarray | None,
    ) -> Exception:
        """The error that a fault of C's means, which may also be raised here."""
        row = [fault != OK for fault in faults].index(True)
        name = _name(faults[row])
        if name == "BAD_OBSERVATION":
            states = np.reshape(self._states(observation), self._observations.shape)
            raise NotFiniteError(_beyond_float32(self.contract.state, states, row, self._axes))
        self._settle()
        past = self._now()
        if name == "BAD_REWARD":
            self._returns_after(past, reward)
            return NotFiniteError(f"reward is {reward}, expected finite numbers")
        if name == "BAD_OUTPUT":
            output = "logits" if self._discrete else "action"
            check_finite(output, self._actions[row] if self.batch_size == 1 else self._actions)
            return OutputError(f"the output {output} is not finite: {DAMAGED}")
        if name == "BAD_APPLIED_ACTION":
            return ValueError(
                f"applied_action is {_shown(applied_action)}: in the network's units, "
                "(action - action.offset) / action.scale, it is beyond float32"
            )
        if name == "NOT_RESET":
            return self._not_started(past)
        return RuntimeError(
            f"{self._library.path} gives the fault {name}, which is a bug: report it"
        )


class _Drawn(NamedTuple):
    """Random numbers from 0 to 1, drawn in blocks, [steps, B], and which of them was the last."""

    rng: np.random.Generator  # after the block
    block: np.ndarray
    step: int

    @property
    def numbers(self) -> list[float]:
        """Those of this step, one for each row."""
        numbers: list[float] = self.block[self.step].tolist()
        return numbers

    def next(self) -> "_Drawn":
        """Those of the next step. This one does not change, so that a step can be repeated."""
        if self.step + 1 < len(self.block):
            return self._replace(step=self.step + 1)
        rng = copy.deepcopy(self.rng)
        return _Drawn(rng, rng.random((DRAWN, self.block.shape[1])), 0)


def _check_options(
    library: Library, provider: str, slots: int | str | None, threads: int, cuda_graph: bool
) -> None:
    """Refuse what only an engine can do.

    Raises:
        ValueError: it names the option.
    """
    check_provider(provider)
    if cuda_graph:
        raise ArgumentError(
            "cuda_graph records CUDA's work, and a compiled policy runs on the CPU: export to ONNX"
        )
    if threads not in (0, 1):
        raise ArgumentError(
            f"threads is {_shown(threads)}, and a compiled policy runs in the thread that calls "
            "act: pass threads=1, or run more policies"
        )
    if slots == RING:
        raise ArgumentError(
            f"slots is {RING!r}, and a compiled policy has no ring: it was made for "
            f"{library.slots} slots"
        )
    if slots is not None and Schedule.of(library.contract.context_length, slots).slots != (
        library.slots
    ):
        raise ArgumentError(f"slots is {slots!r}, and the file was made for {library.slots} slots")


def _pointers(array: np.ndarray, offset: int = 0) -> tuple[ctypes.c_void_p, ...]:
    """Where each row of an array begins, and so many bytes on."""
    first, step = array.ctypes.data + offset, array.strides[0]
    return tuple(ctypes.c_void_p(first + row * step) for row in range(len(array)))


def _name(fault: int) -> str:
    return FAULTS[fault] if 0 <= fault < len(FAULTS) else str(fault)


def _beyond_float32(state: StateSpec, states: np.ndarray, row: int, axes: int) -> str:
    """The message for an observation that only becomes too large when it is normalised."""
    index = [0] * states[row].ndim
    if state.mean is not None and state.std is not None:
        mean, std = (np.array(v, np.float32).reshape(state.shape) for v in (state.mean, state.std))
        with np.errstate(over="ignore"):
            wrong = np.argwhere(~np.isfinite((states[row] - mean) / std))
        index = wrong[0].tolist() if len(wrong) else index
    value, where = states[(row, *index)], index if axes == len(index) else [row, *index]
    return (
        f"observation{where} is {value}: normalised, "
        "(observation - state.mean) / state.std, it is beyond float32"
    )
