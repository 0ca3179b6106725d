"""The last K timesteps of one or many episodes, in arrays that never move."""

from collections.abc import Mapping

import numpy as np

from dt_runtime import layout
from dt_runtime.contract import Contract
from dt_runtime.layout import PerRow


class Window:
    """Rows of at most K timesteps, newest last.

    A single row is handed out at its own length, so that early steps cost less, unless it is
    ``padded``. Many rows share arrays of length K, in which shorter rows are padded on the left and
    masked. Both are exact.

    The past is kept in a ring, and ``stage`` copies from there into the arrays that a graph reads.
    ``stage`` commits nothing: the column that it writes in the ring belongs to a timestep that no
    window reaches any more. You commit by keeping the place that it returns, the index of the
    newest timestep.

    Shapes: B rows, windows of K timesteps.
    """

    first_place = 0

    def __init__(self, contract: Contract, rows: int, padded: bool = False):
        self.rows, self.context_length = rows, contract.context_length
        # A file of fixed shape, or an engine that wants one shape, always gets windows of K.
        self.padded = rows > 1 or padded or isinstance(contract.inputs[0].shape[1], int)
        sizes = {"batch": rows, "sequence": self.context_length}
        # Every input is [B, K, ...].
        self.arrays: Mapping[str, np.ndarray] = layout.arrays(contract, rows, sizes)
        self._mask = self.arrays["attention_mask"]
        self._mask[:] = 1
        self._columns = np.arange(self.context_length)

        # The ring holds every timestep twice, K columns apart, so that any window is one slice.
        self._rings: dict[str, np.ndarray] = {
            name: np.zeros((rows, 2 * self.context_length, *array.shape[2:]), array.dtype)
            for name, array in self.arrays.items()
            if name != "attention_mask"
        }
        self._pairs = [(self.arrays[name], ring) for name, ring in self._rings.items()]
        both = {
            name: ring.reshape(rows, 2, self.context_length, *ring.shape[2:])
            for name, ring in self._rings.items()
        }
        self._states, self._timesteps = both["states"], both["timesteps"]
        self._actions, self._returns = both["actions"], both.get("returns_to_go")
        by_index = contract.action.kind == "discrete"
        self._one_hot = by_index and self.arrays["actions"].ndim == 3

    def stage(
        self,
        place: int,
        states: np.ndarray,
        returns_to_go: PerRow,
        timesteps: PerRow,
        elapsed: PerRow,
        last_actions: np.ndarray,
        last_timesteps: PerRow,
    ) -> int:
        """Fill the arrays with the windows that end in a new timestep, and return its place.

        The new timestep's action is not known yet: it is zero and never read. ``elapsed`` counts
        the steps of the episode before this one; ``last_actions`` ([B, A], or [B] indices) belong
        to the step before. For a single row, the actions are [A] and all other arguments but the
        states are plain numbers.
        """
        context = self.context_length
        new = (place + 1) % context
        if self.rows > 1:
            states, last_actions = states[:, None], last_actions[:, None]
        self._states[:, :, new] = states
        if self._one_hot:
            self._actions[:, :, place] = (
                np.arange(self._actions.shape[-1]) == last_actions[..., None]
            )
        else:
            self._actions[:, :, place] = last_actions
        self._actions[:, :, new] = 0
        if self.rows == 1:
            self._timesteps[:, :, new] = timesteps
            if self._returns is not None:
                self._returns[:, :, new] = returns_to_go
        else:
            self._timesteps[:, :, new] = timesteps[:, None]
            if self._returns is not None:
                self._returns[:, :, new] = returns_to_go[:, None, None]
        window = slice(new + 1, new + 1 + context)
        for array, ring in self._pairs:
            array[...] = ring[:, window]
        if self.padded:
            self._pad(elapsed)
        return new

    def _pad(self, elapsed: PerRow) -> None:
        """Hide the columns before the first timestep of every row's episode."""
        shortest = elapsed if self.rows == 1 else elapsed.min()
        if shortest >= self.context_length - 1:
            self._mask.fill(1)
            return
        padding = self.context_length - np.minimum(np.add(elapsed, 1), self.context_length)
        hidden = self._columns < np.reshape(padding, (-1, 1))  # [B, K]
        for array in self.arrays.values():
            array[hidden] = 0
        self._mask[:] = ~hidden

    def length(self, taken: PerRow) -> int:
        """Timesteps to hand out after so many were taken: one row of them, unless ``padded``."""
        if self.padded:
            return self.context_length
        steps: int = taken
        return min(steps, self.context_length)

    def lengths(self, taken: np.ndarray) -> np.ndarray:
        """Timesteps in the windows of the last actions, after ``elapsed`` steps, [B]."""
        lengths: np.ndarray = np.minimum(taken, self.context_length)
        return lengths

    def copy_from(self, other: "Window") -> None:
        """Take over the past of a window of the same shape."""
        for name, ring in self._rings.items():
            np.copyto(ring, other._rings[name])

    def caches(self) -> dict[str, np.ndarray]:
        """A window has no caches."""
        return {}

    def empty(self, rows: np.ndarray) -> None:
        """Do nothing: a window has no caches."""

    def view(self, length: int) -> dict[str, np.ndarray]:
        """The newest ``length`` timesteps, without a copy: contiguous for one row or length K."""
        return {
            name: array[:, self.context_length - length :] for name, array in self.arrays.items()
        }
