"""What came of one episode."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Episode:
    """One finished episode. Returns are raw.

    ``seed`` is what the environment was reset with: None where it chose for itself, as a vector
    environment does that resets its rows on its own. ``latencies`` are the seconds of each call of
    ``Policy.act``; with a vector environment a call serves all rows.
    """

    seed: int | None
    target_return: float
    total_return: float
    length: int  # steps
    terminated: bool  # false where a time limit ended it
    latencies: np.ndarray  # [length]
