"""The arrays that a graph reads, checked for their size before any is made."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from dt_runtime.contract import Contract
from dt_runtime.errors import ArgumentError

# A policy keeps a single row in plain numbers, and many rows in arrays [B]: which of the two it is
# follows from the batch size, and no type checker knows that.
PerRow = Any

MAX_ROWS = 2**20
MAX_BYTES = 2**36


def arrays(contract: Contract, rows: int, sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Zeros for every input of the graph, by name; ``sizes`` gives the sizes of its free axes.

    Raises:
        ValueError: they would take more than ``MAX_BYTES``.
    """
    shapes = {spec.name: spec.sized(sizes) for spec in contract.inputs}
    needed = sum(math.prod(shapes[s.name]) * np.dtype(s.dtype).itemsize for s in contract.inputs)
    if needed > MAX_BYTES:
        slots = f" with {sizes['slots']} slots" if "slots" in sizes else ""
        raise ArgumentError(
            f"batch_size is {rows}{slots}, which takes {needed / 2**30:.1f} GiB for the graph's "
            f"inputs, expected at most {MAX_BYTES / 2**30:.0f} GiB: run fewer rows in one policy"
        )
    return {spec.name: np.zeros(shapes[spec.name], spec.dtype) for spec in contract.inputs}
