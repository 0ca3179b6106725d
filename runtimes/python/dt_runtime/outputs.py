"""What becomes of a graph's output: raw actions within their bounds, or indices.

Shapes are those of the policy's rows: [A] for one row, [B, A] for many.
"""

from math import hypot, isfinite
from typing import Any

import numpy as np

from dt_runtime.contract import Contract

DAMAGED = (
    "compare this observation with the training data; if it looks normal, the weights may be "
    "damaged (check with `dt-export validate FILE --model MODEL`)"
)
FEW = 64  # up to so many numbers, plain Python checks faster than NumPy


class OutputError(FloatingPointError):
    """The output is NaN or infinite: damaged weights, or inputs far outside the training data."""


class Actions:
    """Continuous actions.

    Args:
        rows: ``()`` for one row, ``(B,)`` for many.
        bare: whether the graph puts out the network's units, so that scale and offset apply here.
    """

    first_draws: Any = None

    def __init__(self, contract: Contract, rows: tuple[int, ...], bare: bool):
        action = contract.action
        self._shape = (*rows, action.size)
        self._scale = single(action.scale) if bare else None
        self._offset = single(action.offset) if bare else None
        self._low, self._high = single(action.low), single(action.high)

    def take(self, output: np.ndarray, draws: Any) -> tuple[np.ndarray, Any]:
        """Raw actions within the bounds, in a new array; ``draws`` are not used.

        Raises:
            OutputError: a number is not finite.
        """
        if self._scale is not None:
            with np.errstate(over="ignore"):
                output = output * self._scale + self._offset
        check_finite("action", output)
        if self._low is None and self._high is None:
            return output.copy(), None
        if self._low is not None:
            output = np.maximum(output, self._low)
        return output if self._high is None else np.minimum(output, self._high), None

    def still(self) -> np.ndarray:
        """Zeros within the bounds."""
        actions = np.zeros(self._shape, np.float32)
        if self._low is not None:
            actions = np.maximum(actions, self._low)
        return actions if self._high is None else np.minimum(actions, self._high)


class Choices:
    """Indices of discrete actions: the likeliest ones, or drawn ones.

    Args:
        rows: ``()`` for one row, ``(B,)`` for many.
        temperature: divides the logits before a draw; None takes the likeliest index.
        rng: makes the draws.
    """

    def __init__(self, rows: tuple[int, ...], temperature: float | None, rng: np.random.Generator):
        self._rows, self._temperature, self._rng = rows, temperature, rng
        self.first_draws: Any = None if temperature is None else rng.bit_generator.state

    def take(self, logits: np.ndarray, draws: Any) -> tuple[np.ndarray, Any]:
        """The indices, and the state of the generator after the draws.

        Args:
            draws: that state before the draws.

        Raises:
            OutputError: a logit is not finite.
        """
        check_finite("logits", logits)
        if self._temperature is None:
            return logits.argmax(axis=-1), None
        self._rng.bit_generator.state = draws
        # The maximum of logits plus Gumbel noise is a draw from their softmax.
        noise = self._rng.gumbel(size=logits.shape)
        logits = logits.astype(np.float64)
        logits -= logits.max(axis=-1, keepdims=True)  # the largest stays finite at any temperature
        with np.errstate(over="ignore"):
            index = (logits / self._temperature + noise).argmax(axis=-1)
        return index, self._rng.bit_generator.state

    def still(self) -> np.ndarray:
        """The indices 0."""
        return np.zeros(self._rows, np.int64)


def check_finite(name: str, output: np.ndarray) -> None:
    """Whether all numbers are finite.

    Raises:
        OutputError: the first one that is not.
    """
    if output.ndim == 1 and output.size <= FEW:
        if isfinite(hypot(*output.tolist())):  # as finite as its terms are
            return
    elif np.isfinite(output).all():
        return
    where = np.argwhere(~np.isfinite(output))[0].tolist()
    raise OutputError(f"the output {name}{where} is {output[tuple(where)]}: {DAMAGED}")


def single(values: tuple[float, ...] | None) -> np.ndarray | None:
    """Numbers of the contract as float32, if there are any."""
    return None if values is None else np.asarray(values, np.float32)
