"""The arrays of a ``step`` graph: staggered slots, or one ring (see ``schedule``).

docs/step-protocol.md states what these arrays hold as rules for any language.
"""

from collections.abc import Mapping

import numpy as np

from dt_runtime import layout
from dt_runtime.checks import DEFAULT_SLOTS as DEFAULT
from dt_runtime.checks import PAST, PRESENT, present
from dt_runtime.contract import Contract
from dt_runtime.errors import ArgumentError
from dt_runtime.layout import PerRow
from dt_runtime.schedule import RING, Schedule

__all__ = ["DEFAULT", "PAST", "PRESENT", "RING", "Slots", "fixed_slots", "present"]

HIDDEN = -np.inf

Began = tuple[np.ndarray, np.ndarray] | None  # rows and slots that began with a timestep
Place = tuple[int, Began]


def fixed_slots(contract: Contract) -> int | None:
    """The number of slots of a file of fixed shape."""
    shapes = {spec.name: spec.shape for spec in contract.inputs}
    rows, batch = shapes["states"][0], shapes["query_index"][0]
    return rows // batch if isinstance(rows, int) and isinstance(batch, int) else None


class Slots:
    """The arrays of a step graph, filled for each new timestep.

    Every slot of every row writes at the same place of its cache, and the attention bias says what
    each slot may look at, so nothing is ever moved.

    ``stage`` commits nothing: you may call it again for the same timestep, also after a run that
    failed or wrote into the caches, because every try fills the same arrays and writes at the same
    place. You commit by keeping the place that it returns: the place of the newest timestep in the
    caches, and the slots that began there.

    Shapes: B rows, G slots, P tokens per timestep, C = P * K positions in a cache.
    """

    first_place: Place = (0, None)

    def __init__(self, contract: Contract, rows: int, slots: int | str):
        context = contract.context_length
        self.schedule = schedule = Schedule.of(context, slots)
        self._ring, count = schedule.ring, schedule.slots
        fixed = fixed_slots(contract)
        if fixed not in (None, count):
            raise ArgumentError(f"slots is {slots!r}, and the file was made for {fixed} slots")
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
        if self._timesteps is not None:  # of the last action, and of the new timestep
            self._last_time, self._new_time = self._timesteps[..., :1], self._timesteps[..., 1:]
        self._last_bias = arrays["last_attention_bias"].reshape(rows, count, -1)  # [B, G, C]
        self.positions = self._last_bias.shape[2]
        if "attention_bias" in arrays:
            self._bias = arrays["attention_bias"].reshape(rows, count, per_step, self.positions)
        else:  # a single layer computes nothing but the answering state token
            self._bias = np.zeros((rows, count, per_step, self.positions), np.float32)
        if rows == count == 1:  # the last layer reads the state token's row of the only slot
            self.arrays["last_attention_bias"] = self._bias[:, :, -1:]
            self._last_bias = self._bias[:, :, -1]
        self._bias[:], self._last_bias[:] = HIDDEN, HIDDEN
        self._strips = self._new_strips()

        self._places, self._offsets = self._new_places()
        # NumPy adds an array to an array faster than a plain number to an array.
        self._starts = [np.array(place * per_step) for place in range(self.context_length)]
        # The schedule's table as arrays.
        turns = schedule.table()
        self._begins = np.zeros((len(turns), count), bool)  # [2K, G]
        for row, turn in enumerate(turns):
            self._begins[row, list(turn.begins)] = True
        self._answers = np.array([turn.answers for turn in turns], np.int64)  # [2K]
        self._lengths = np.array([turn.length for turn in turns], np.int64)  # [2K]
        self._row = np.arange(rows)
        self._fill_query_index(np.zeros(rows, np.int64))

        # The same for a single row as plain numbers and ready-made views, which is much faster.
        self._answered = -1  # the slot that the arrays hold; -1 while they may be half filled
        self._answer_at: list[int] = self._answers.tolist()
        self._any_begins = [bool(turn.begins) for turn in turns]
        self._answer_rows = [
            (self._last_bias[0, slot], self._bias[0, slot, -1]) for slot in range(count)
        ]

    def _new_strips(self) -> list[list[tuple[np.ndarray, np.ndarray]]]:
        """By place: parts of the bias, and the values they take when a timestep is written there.

        All new tokens see the timestep before, and they see one another causally.
        """
        per_step, bias, context = self.per_step, self._bias, self.context_length
        causal = np.where(np.tri(per_step, dtype=bool), 0.0, HIDDEN).astype(np.float32)
        past = np.zeros_like(causal)
        steps = [bias[..., i * per_step : (i + 1) * per_step] for i in range(context)]
        strips = [[(steps[i - 1], past), (steps[i], causal)] for i in range(context)]
        both = np.concatenate((past, causal), axis=1)
        for i in range(1, context):  # neighbours in memory are written at once
            strips[i] = [(bias[..., (i - 1) * per_step : (i + 1) * per_step], both)]
        return strips

    def _new_places(self) -> tuple[np.ndarray, np.ndarray]:
        """Where new tokens are written: the column to fill, and its values at place 0, [2, M].

        In ``cache_indices`` every slot is a row of its own; in ``last_cache_indices`` the slots of
        a row lie end to end.
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
        """An optional input, [B * G * ...], as [B, G, ...]."""
        array = self.arrays.get(name)
        return None if array is None else array.reshape(self.rows, self.slots, *shape)

    def stage(
        self,
        place: Place,
        states: np.ndarray,
        returns_to_go: PerRow,
        timesteps: PerRow,
        elapsed: PerRow,
        last_actions: np.ndarray,
        last_timesteps: PerRow,
    ) -> Place:
        """Fill the arrays for a new timestep of every row, and return its place.

        ``elapsed`` counts the steps of the episode before this one; ``last_actions`` ([B, A], or
        [B] indices) and ``last_timesteps`` belong to the step before. For a single row, the actions
        are [A] and all other arguments but the states are plain numbers.
        """
        last_place, began = place
        if self.rows == 1:
            self._fill_one(states, returns_to_go, timesteps, last_actions, last_timesteps)
        else:
            self._fill(states, returns_to_go, timesteps, last_actions, last_timesteps)
        per_step, bias = self.per_step, self._bias
        new_place = (last_place + 1) % self.context_length
        for strip, values in self._strips[new_place]:
            strip[...] = values
        at = new_place * per_step
        # The action before a slot's window stays hidden; with K = 1 it is already overwritten.
        if began is not None and last_place != new_place:
            bias[*began, :, last_place * per_step] = HIDDEN
        turns = self._turns(elapsed)
        began = self._beginning(turns)
        if began is not None:
            bias[began] = HIDDEN
            bias[*began, :, at : at + per_step] = self._strips[0][1][1]
            bias[*began, 1:, at] = HIDDEN
        if self._ring:  # the oldest action was taken before the oldest timestep
            oldest = (at + per_step) % self.positions
            bias[:, :, 1 if oldest == at else 0 :, oldest] = HIDDEN  # a token always sees itself
        self._show_answer(turns)
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
        """The inputs of a single row's new tokens, the same for every slot."""
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
        """The inputs of many rows' new tokens."""
        self._states[:] = states[:, None]
        self._actions[:] = last_actions.reshape(self.rows, 1, -1)
        if self._returns is not None:
            self._returns[:] = returns_to_go[:, None]
        if self._timesteps is not None:
            self._last_time[:] = last_timesteps[:, None, None]
            self._new_time[:] = timesteps[:, None, None]

    def _turns(self, elapsed: PerRow) -> PerRow:
        """Rows of the schedule's table: an index for a single row, which is faster, or [B]."""
        context = self.context_length
        if self.rows == 1:
            return elapsed if elapsed < context else context + elapsed % context
        return self._all_turns(elapsed)

    def _all_turns(self, steps: np.ndarray) -> np.ndarray:
        """``Schedule.row`` for many steps at once."""
        context = self.context_length
        return np.where(steps < context, steps, context + steps % context)

    def _beginning(self, turns: PerRow) -> Began:
        """Rows and slots that begin at this step."""
        if self.rows == 1 and not self._any_begins[turns]:
            return None
        rows, slots = np.nonzero(self._begins[turns].reshape(self.rows, self.slots))
        return (rows, slots) if rows.size else None

    def _show_answer(self, turns: PerRow) -> None:
        """Let the last layer look at nothing but the answering slot of each row."""
        if self.rows == self.slots == 1:
            return  # the last layer reads the attention bias itself
        if self.rows == 1:
            slot = self._answer_at[turns]
            if slot != self._answered:
                self._answered = -1
                self._last_bias[...] = HIDDEN
                self._fill_query_index(slot)
                self._answered = slot
            row, visible = self._answer_rows[slot]
            row[...] = visible
            return
        slots = self._answers[turns]
        self._last_bias[...] = HIDDEN
        self._fill_query_index(slots)
        self._last_bias[self._row, slots] = self._bias[self._row, slots, -1]

    def _fill_query_index(self, answers: PerRow) -> None:
        """Which of all new tokens, [B * G * P], is the state token that answers for each row."""
        slots = self._row * self.slots + answers
        self.arrays["query_index"][:] = (slots + 1) * self.per_step - 1

    def length(self, taken: PerRow) -> int:
        """Which of the graph's shapes to run: a step graph has only one."""
        return 1

    def lengths(self, taken: np.ndarray) -> np.ndarray:
        """Timesteps in the windows of the last actions, after ``elapsed`` steps, [B]."""
        lengths: np.ndarray = self._lengths[self._all_turns(np.maximum(taken - 1, 0))]
        return lengths

    def copy_from(self, other: "Slots") -> None:
        """Take over the past of slots of the same shape: their caches and attention biases."""
        for name, array in self.arrays.items():
            np.copyto(array, other.arrays[name])
        np.copyto(self._bias, other._bias)
        self._answered = -1

    def empty(self, rows: np.ndarray) -> None:
        """Clear the caches of some rows, so that what they held cannot matter.

        Hiding it is not enough: a score of minus infinity gives a weight of zero, and zero times
        NaN is NaN.
        """
        for cache in self.caches().values():
            cache.reshape(self.rows, -1)[rows] = 0

    def view(self, length: int) -> Mapping[str, np.ndarray]:
        """The graph's inputs, by name."""
        return self.arrays

    def caches(self) -> dict[str, np.ndarray]:
        """By the name of an output: the array that it is written to and the next step reads."""
        names = [name for name in self.arrays if name.startswith(PAST)]
        return {present(name): self.arrays[name] for name in names}
