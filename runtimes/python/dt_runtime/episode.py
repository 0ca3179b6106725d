"""The result of one episode."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Episode:
    """One finished episode. Returns are raw.

    ``seed`` is the seed that the environment was reset with, or None if the environment chose one,
    as vector environments do when they reset a row themselves. ``latencies`` are the seconds of
    each call of ``Policy.act``; with a vector environment, one call serves all rows.
    """

    seed: int | None
    target_return: float
    total_return: float
    length: int  # steps
    terminated: bool  # false where a time limit ended it
    latencies: np.ndarray  # [length]
