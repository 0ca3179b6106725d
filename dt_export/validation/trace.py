"""Open loop along recorded episodes: at each step the artifact answers what was observed then.

The recorded actions are passed as the applied ones, so that the artifact sees the recorded past and
its errors do not add up. Eager PyTorch answers the very windows that the artifact reports.
"""

from dataclasses import dataclass

import numpy as np

CHUNK = 256  # windows that eager PyTorch answers at once


@dataclass(frozen=True)
class Along:
    """The errors of one episode, by timestep: absolute where actions have bounds, else relative to
    the largest one. Of a discrete policy they are those of its logits."""

    episode: int
    target_return: float
    errors: tuple[float, ...]  # infinite where there was no finite number
    rounding: tuple[float, ...]  # of eager PyTorch, on the same windows
    problem: str | None = None  # what ended it before its last step

    @property
    def worst(self) -> int:
        """The step with the largest error."""
        return int(np.argmax(self.errors)) if self.errors else 0


@dataclass(frozen=True)
class TraceResult:
    """What came of all episodes of a trace."""

    source: str
    episodes: tuple[Along, ...]
    rounding: float  # the worst of all
    bound: float

    @property
    def passed(self) -> bool:
        return bool(self.episodes) and not self.failures

    @property
    def failures(self) -> tuple[Along, ...]:
        return tuple(
            along
            for along in self.episodes
            if along.problem is not None or not max(along.errors, default=0.0) <= self.bound
        )

    @property
    def steps(self) -> int:
        return sum(len(along.errors) for along in self.episodes)

    @property
    def worst(self) -> Along:
        return max(self.episodes, key=lambda along: max(along.errors, default=0.0))
