"""Inputs of a full window, with the shapes and types of a graph's inputs."""

from collections.abc import Sequence

import numpy as np
from dt_runtime.contract import TensorSpec


def full_window(
    specs: Sequence[TensorSpec], batch: int, length: int, max_ep_len: int
) -> dict[str, np.ndarray]:
    """Contiguous arrays [batch, length, ...] by name; the same in every run.

    Floats are standard normal. Timesteps count up from 0 and stay below ``max_ep_len``. Nothing
    is masked.
    """
    rng = np.random.default_rng(0)
    sizes = {"batch": batch, "sequence": length}
    arrays = {}
    for spec in specs:
        shape = spec.sized(sizes)
        if spec.name == "timesteps":
            counted = np.minimum(np.arange(length), max_ep_len - 1)
            array: np.ndarray = np.broadcast_to(counted, shape)
        elif spec.name == "attention_mask":
            array = np.ones(shape)
        elif spec.dtype == "float32":
            array = rng.standard_normal(shape)
        else:  # frames, or actions as indices: 0 and 1 are always among them
            array = rng.integers(0, 2, shape)
        arrays[spec.name] = np.array(array, dtype=spec.dtype, order="C")
    return arrays
