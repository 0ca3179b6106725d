"""The caches of a ``step`` graph: staggered slots, or one ring.

A cache that began at timestep s gives, at timestep t, exactly the action of the window [s..t]. So
several caches, the slots, begin at different timesteps; every new timestep goes into all of them in
one run, and the slot with the longest window of at most K timesteps answers. A slot begins anew
when its window would exceed K. With G slots, every window is at least K - K/G + 1 long once K
timesteps have passed, and before that it holds the whole episode.

``ring`` keeps one cache and drops its oldest timestep instead of beginning anew. That is no longer
exact: what is left behind in the cache was computed while it could still see what was dropped.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dt_runtime import layout
from dt_runtime.checks import DEFAULT_SLOTS as DEFAULT
from dt_runtime.checks import PAST, PRESENT, present
from dt_runtime.contract import Contract

__all__ = ["DEFAULT", "PAST", "PRESENT", "RING", "Slots", "fixed_slots", "present"]

RING = "ring"
HIDDEN = -np.inf


def fixed_slots(contract: Contract) -> int | None:
    """The number of slots of a file of fixed shape."""
    shapes = {spec.name: spec.shape for spec in contract.inputs}
    rows, batch = shapes["states"][0], shapes["query_index"][0]
    return rows // batch if isinstance(rows, int) and isinstance(batch, int) else None


class Slots:
    """Arrays of a step graph, filled for each timestep.

    All slots of all rows write at the same position of their caches, and masks say what each may
    look at: nothing is ever moved.

    What is in the arrays is not committed: ``stage`` may be called any number of times for the same
    timestep, also when a run in between failed or wrote into the caches, since each try writes the
    same masks and at the same position. What the caller keeps of it is the new place: the position
    of the newest timestep, and the slots that began there.

    Shapes: B rows, G slots, P tokens of a timestep, C = P * K positions in a cache.
    """

    first_place: tuple[int, Any] = (0, None)

    def __init__(self, contract: Contract, rows: int, slots: int | str):
        context = contract.context_length
        self.ring = slots == RING
        count = 1 if self.ring else slots
        whole = isinstance(count, int | np.integer) and not isinstance(count, bool)
        if not whole or not 1 <= count <= context:
            raise ValueError(f"slots is {slots!r}, expected 1 to {context} (K), or {RING!r}")
        fixed = fixed_slots(contract)
        if fixed not in (None, count):
            raise ValueError(f"slots is {slots!r}, and the file was made for {fixed} of them")
        self.rows, self.slots, self.context_length = rows, count, context
        sizes = {"batch": rows, "slots": count}
        self.arrays: dict[str, np.ndarray] = layout.arrays(contract, rows, sizes)
        self.per_step = 3 if "returns_to_go" in self.arrays else 2

        # The arrays as [B, G, ...], to fill every slot of a row at once.
        arrays, per_step = self.arrays, self.per_step
        self._states = arrays["states"].reshape(rows, count, *contract.state.shape)
        self._actions = arrays["actions"].reshape(rows, count, -1)
        self._returns = self._by_slot("returns_to_go")
        self._timesteps = self._by_slot("timesteps", per_step)
        if self._timesteps is not None:  # the last action's, and that of the new timestep
            self._last_time, self._new_time = self._timesteps[..., :1], self._timesteps[..., 1:]
        self._answer_mask = arrays["last_attention_bias"].reshape(rows, count, -1)  # [B, G, C]
        self.positions = self._answer_mask.shape[2]
        if "attention_bias" in arrays:
            self._mask = arrays["attention_bias"].reshape(rows, count, per_step, self.positions)
        else:  # a single layer asks for the state token alone
            self._mask = np.zeros((rows, count, per_step, self.positions), np.float32)
        if rows == count == 1:  # the answer's mask is the state token's row of the only slot
            self.arrays["last_attention_bias"] = self._mask[:, :, -1:]
            self._answer_mask = self._mask[:, :, -1]
        self._mask[:], self._answer_mask[:] = HIDDEN, HIDDEN
        self._strips = self._new_strips()

        self._places, self._offsets = self._new_places()
        # Arrays, for NumPy adds those faster than plain numbers.
        self._starts = [np.array(place * per_step) for place in range(self.context_length)]
        self._schedule(count)
        self._row = np.arange(rows)
        self._tell_answer(np.zeros(rows, np.int64))

        # The same for a single row in plain numbers and ready-made views: many times as fast.
        self._answered = -1  # whose turn the arrays say it is; -1 while that may be half told
        self._answer_at = self._answers.tolist()
        self._any_begins = self._begins.any(1).tolist()
        self._answer_rows = [
            (self._answer_mask[0, slot], self._mask[0, slot, -1]) for slot in range(count)
        ]

    def _new_strips(self) -> list[list[tuple[np.ndarray, np.ndarray]]]:
        """By place in the ring: parts of the mask, and what they become when a timestep comes.

        The timestep before it is behind all new tokens, and those see one another causally.
        """
        per_step, mask, context = self.per_step, self._mask, self.context_length
        causal = np.where(np.tri(per_step, dtype=bool), 0.0, HIDDEN).astype(np.float32)
        past = np.zeros_like(causal)
        steps = [mask[..., i * per_step : (i + 1) * per_step] for i in range(context)]
        strips = [[(steps[i - 1], past), (steps[i], causal)] for i in range(context)]
        both = np.concatenate((past, causal), axis=1)
        for i in range(1, context):  # neighbours in memory are written at once
            strips[i] = [(mask[..., (i - 1) * per_step : (i + 1) * per_step], both)]
        return strips

    def _new_places(self) -> tuple[np.ndarray, np.ndarray]:
        """Where new tokens go: the column of the arrays to fill, and its values at place 0.

        ``cache_indices`` counts rows of slots; ``last_cache_indices`` has a row's slots end to end.
        """
        tokens = self.rows * self.slots * self.per_step
        heads = self.arrays["last_cache_indices"].shape[0] // tokens
        sizes = (self.rows, self.slots, self.per_step, heads)
        row, slot, token, head = np.indices(sizes).reshape(4, -1)
        block = np.zeros((2, row.size, 3), np.int64)
        block[0, :, 0], block[1, :, 0] = row * self.slots + slot, row
        block[:, :, 1] = head
        names = ("cache_indices", "last_cache_indices")
        self.arrays |= {n: array for n, array in zip(names, block, strict=True) if n in self.arrays}
        offsets = np.stack((token, slot * self.positions + token))  # [2, M]
        return block[:, :, 2], offsets

    def _by_slot(self, name: str, *shape: int) -> np.ndarray | None:
        """An optional array [B * G * ...] as [B, G, ...]."""
        array = self.arrays.get(name)
        return None if array is None else array.reshape(self.rows, self.slots, *shape)

    def _schedule(self, count: int) -> None:
        """What happens at each step of an episode: 0 to K - 1, and from K on by its phase.

        Slot g begins when the steps taken, modulo K, are its phase; all begin with the episode.
        """
        context = self.context_length
        phases = np.arange(count) * context // count
        steps = np.arange(context)
        # Timesteps in the window of slot g at a step of phase p, once every slot has begun anew.
        ages = (steps[:, None] - phases[None, :]) % context + 1  # [K, G]
        late_answer, late_length = ages.argmax(1), ages.max(1)
        begins = ages == 1
        if self.ring:
            begins[:], late_length[:] = False, context
        early = np.zeros_like(begins)
        early[1:] = begins[1:]
        early[0] = True
        self._begins = np.concatenate((early, begins))  # [2K, G]
        self._answers = np.concatenate((np.zeros(context, np.int64), late_answer))  # [2K]
        self._lengths = np.concatenate((steps + 1, late_length))  # [2K]

    def stage(
        self,
        place: tuple[int, Any],
        states: np.ndarray,
        returns_to_go: float | np.ndarray,
        timesteps: int | np.ndarray,
        elapsed: int | np.ndarray,
        last_actions: np.ndarray,
        last_timesteps: int | np.ndarray,
    ) -> tuple[int, Any]:
        """Fill the arrays for a new timestep of every row; its place.

        ``elapsed`` counts the steps of the episode before it; ``last_actions`` ([B, A], or [B]
        indices) and ``last_timesteps`` belong to the one before. Of a single row all but the states
        are plain numbers or [A].
        """
        last_place, began = place
        if self.rows == 1:
            self._fill_one(states, returns_to_go, timesteps, last_actions, last_timesteps)
        else:
            self._fill(states, returns_to_go, timesteps, last_actions, last_timesteps)
        per_step, mask = self.per_step, self._mask
        new_place = (last_place + 1) % self.context_length
        for strip, values in self._strips[new_place]:
            strip[...] = values
        at = new_place * per_step
        # An action that came before its slot's window stays hidden; with K = 1 it is gone.
        if began is not None and last_place != new_place:
            mask[*began, :, last_place * per_step] = HIDDEN
        stages = self._stage(elapsed)
        began = self._beginning(stages)
        if began is not None:
            mask[began] = HIDDEN
            mask[*began, :, at : at + per_step] = self._strips[0][1][1]
            mask[*began, 1:, at] = HIDDEN
        if self.ring:  # the oldest timestep's action belongs to the one that was dropped
            oldest = (at + per_step) % self.positions
            mask[:, :, 1 if oldest == at else 0 :, oldest] = HIDDEN  # a token always sees itself
        self._show_answer(stages)
        np.add(self._offsets, self._starts[new_place], self._places)
        return new_place, began

    def _fill_one(
        self,
        states: np.ndarray,
        returns_to_go: float,
        timesteps: int,
        last_actions: np.ndarray,
        last_timesteps: int,
    ) -> None:
        """The new tokens' inputs of a single row, the same for every slot."""
        self._states[...] = states
        self._actions[...] = last_actions
        if self._returns is not None:
            self._returns.fill(returns_to_go)
        if self._timesteps is not None:
            self._last_time.fill(last_timesteps)
            self._new_time.fill(timesteps)

    def _fill(
        self,
        states: np.ndarray,
        returns_to_go: np.ndarray,
        timesteps: np.ndarray,
        last_actions: np.ndarray,
        last_timesteps: np.ndarray,
    ) -> None:
        """The new tokens' inputs of many rows."""
        self._states[:] = states[:, None]
        self._actions[:] = last_actions.reshape(self.rows, 1, -1)
        if self._returns is not None:
            self._returns[:] = returns_to_go[:, None]
        if self._timesteps is not None:
            self._last_time[:] = last_timesteps[:, None, None]
            self._new_time[:] = timesteps[:, None, None]

    def _stage(self, elapsed: int | np.ndarray) -> int | np.ndarray:
        """The row of the schedule for each row; one number for one row, which is faster."""
        context = self.context_length
        if self.rows == 1:
            return elapsed if elapsed < context else context + elapsed % context
        return np.where(elapsed < context, elapsed, context + elapsed % context)

    def _beginning(self, stages: int | np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Rows and slots that begin at this step."""
        if self.rows == 1 and not self._any_begins[stages]:
            return None
        rows, slots = np.nonzero(self._begins[stages].reshape(self.rows, self.slots))
        return (rows, slots) if rows.size else None

    def _show_answer(self, stages: int | np.ndarray) -> None:
        """Let the last layer look at the answering slot of each row alone."""
        if self.rows == self.slots == 1:
            return  # it reads the mask itself
        if self.rows == 1:
            answer = self._answer_at[stages]
            if answer != self._answered:
                self._answered = -1
                self._answer_mask[...] = HIDDEN
                self._tell_answer(answer)
                self._answered = answer
            row, visible = self._answer_rows[answer]
            row[...] = visible
            return
        answer = self._answers[stages]
        self._answer_mask[...] = HIDDEN
        self._tell_answer(answer)
        self._answer_mask[self._row, answer] = self._mask[self._row, answer, -1]

    def _tell_answer(self, answer: int | np.ndarray) -> None:
        """Which of all new tokens is the state token that answers."""
        slots = self._row * self.slots + answer
        self.arrays["query_index"][:] = (slots + 1) * self.per_step - 1

    def length(self, elapsed: int | np.ndarray) -> int:
        """Which of the graph's shapes is run: there is only one."""
        return 1

    def lengths(self, elapsed: np.ndarray) -> np.ndarray:
        """Timesteps in the windows that answered last, once so many were taken, [rows]."""
        last = np.maximum(elapsed - 1, 0)
        context = self.context_length
        return self._lengths[np.where(last < context, last, context + last % context)]

    def copy_from(self, other: "Slots") -> None:
        """Take over the past of slots of the same shape: their caches, and what may be seen."""
        for name, array in self.arrays.items():
            np.copyto(array, other.arrays[name])
        np.copyto(self._mask, other._mask)
        self._answered = -1

    def empty(self, rows: np.ndarray) -> None:
        """Clear the caches of some rows, so that whatever they held cannot matter.

        To be hidden is not enough: a score of minus infinity makes a weight of zero, and zero times
        NaN is NaN.
        """
        for cache in self.caches().values():
            cache.reshape(self.rows, -1)[rows] = 0

    def view(self, length: int) -> Mapping[str, np.ndarray]:
        """The graph's inputs."""
        return self.arrays

    def caches(self) -> dict[str, np.ndarray]:
        """Outputs that are inputs of the next step, to be written where those are read."""
        names = [name for name in self.arrays if name.startswith(PAST)]
        return {present(name): self.arrays[name] for name in names}
