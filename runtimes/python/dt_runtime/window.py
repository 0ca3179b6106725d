"""The last K timesteps of one or many episodes, in arrays that never move."""

from collections.abc import Mapping

import numpy as np

from dt_runtime.contract import Contract


class Window:
    """Rows of at most K timesteps, newest last.

    A single row is handed out at its own length, so early steps cost less, unless ``padded``; many
    rows share one array of length K in which shorter ones are padded on the left and masked. Both
    are exact.
    """

    def __init__(self, contract: Contract, rows: int, padded: bool = False):
        self.rows, self.context_length = rows, contract.context_length
        # A file of fixed shape gets windows of K alone, and so does an engine that wants one shape.
        self.padded = rows > 1 or padded or isinstance(contract.inputs[0].shape[1], int)
        sizes = {"batch": rows, "sequence": self.context_length}
        self.arrays: Mapping[str, np.ndarray] = {  # every input is [batch, sequence, ...]
            spec.name: np.zeros(spec.sized(sizes), spec.dtype) for spec in contract.inputs
        }
        self.lengths = np.zeros(rows, np.int64)

    def clear(self, rows: np.ndarray) -> None:
        """Forget the episodes of some rows; ``rows`` are indices."""
        for array in self.arrays.values():
            array[rows] = 0
        self.lengths[rows] = 0

    def push(
        self,
        states: np.ndarray,
        returns_to_go: float | np.ndarray,
        timesteps: int | np.ndarray,
        elapsed: int | np.ndarray,
    ) -> None:
        """Add a timestep to every row; its action, not known yet, is zero and never read."""
        for array in self.arrays.values():
            array[:, :-1] = array[:, 1:]
        self.arrays["states"][:, -1] = states
        self.arrays["actions"][:, -1] = 0
        if "returns_to_go" in self.arrays:
            self.arrays["returns_to_go"][:, -1, 0] = returns_to_go
        self.arrays["timesteps"][:, -1] = timesteps
        self.arrays["attention_mask"][:, -1] = 1
        np.minimum(self.lengths + 1, self.context_length, out=self.lengths)

    def set_last_actions(self, actions: np.ndarray) -> None:
        """``actions`` is [rows, A], or [rows] indices, which become one-hot where inputs are."""
        last = self.arrays["actions"][:, -1]
        if actions.ndim < last.ndim:
            last[:] = 0
            last[np.arange(self.rows), actions] = 1
        else:
            last[:] = actions

    @property
    def length(self) -> int:
        """The number of timesteps that ``view`` hands out now."""
        return self.context_length if self.padded else int(self.lengths[0])

    def caches(self) -> dict[str, np.ndarray]:
        """Outputs that are inputs of the next step: none."""
        return {}

    def view(self, length: int) -> dict[str, np.ndarray]:
        """The newest ``length`` timesteps, without a copy: contiguous for one row or length K."""
        return {
            name: array[:, self.context_length - length :] for name, array in self.arrays.items()
        }
