"""The result of a closed loop: both sides' episodes on the same seeds, and what they say."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dt_export.validation.latency import Latency
from dt_export.validation.paired import (
    CONFIDENCE,
    TWO_PERCENT,
    Allowed,
    Verdict,
    confidence_at,
    interval,
    needed,
    verdict,
)

BASELINES = {"eager": "eager PyTorch", "fp32": "fp32"}
APART = 1e-3  # of the scale: actions further apart are visibly so


@dataclass(frozen=True)
class Pair:
    """One seed and target: the baseline's episode and the artifact's. Returns are raw.

    Actions are visibly apart if they differ by more than 1e-3: absolute where actions have bounds,
    else of the largest action. Discrete actions are apart if the index differs.

    ``forced_error`` is absolute where actions have bounds, else relative to the largest action. For
    a discrete policy it is that of the logits: the index may flip at a near tie without fault.
    """

    seed: int
    target_return: float
    expected: float  # return of the baseline; NaN if its episode has a problem
    seen: float  # of the artifact
    expected_length: int  # steps
    length: int
    expected_terminated: bool
    terminated: bool
    parted: int | None  # the first step at which actions are visibly apart, or one side has ended
    forced_error: float | None  # worst error of an action, both given the baseline's observations
    problem: str | None = None  # an episode crashed or met a NaN: always a failure
    same_start: bool = True  # whether the environment begins both episodes alike


@dataclass(frozen=True)
class Outcome:
    """What the pairs of one target say.

    The interval is that of the mean difference; without two episodes it is infinite. Means are over
    the pairs without a problem, and NaN if there are none.
    """

    target_return: float
    episodes: int
    expected: float  # mean return of the baseline
    seen: float  # of the artifact
    difference: float  # mean of seen - expected
    low: float
    high: float
    confidence: float
    margin: float  # allowed difference, in raw return
    identical: int  # episodes whose actions were never visibly apart
    verdict: Verdict
    needed: int | None  # about how many episodes settle it; None where that cannot be told
    problems: int = 0  # pairs with a problem: with any, the verdict is "failed"
    forced_error: float | None = None  # the worst one of all pairs


@dataclass(frozen=True)
class ActionTrace:
    """Actions of one episode: the baseline's, and the artifact's on the same observations."""

    seed: int
    target_return: float
    expected: tuple[tuple[float, ...], ...]  # [steps, A]; indices [steps, 1] if discrete
    seen: tuple[tuple[float, ...], ...]  # the same shape
    bound: float | None  # on the error of an action; None if none was set


@dataclass(frozen=True)
class ClosedLoop:
    """Episodes of an artifact and of a baseline on the same seeds.

    ``first_look`` is the number of episodes at the first of several looks (``--until-sure``), each
    at twice as many; None for a single look.
    """

    environment: str
    baseline: str  # a key of BASELINES
    allowed: float  # a fraction of the baseline's mean return, or a raw return
    pairs: tuple[Pair, ...]
    traces: tuple[ActionTrace, ...] = ()
    relative: bool = True  # whether ``allowed`` is a fraction
    confidence: float = CONFIDENCE
    first_look: int | None = None
    forced_bound: float | None = None
    latency: Latency | None = None  # of the artifact's ``Policy.act``

    @cached_property
    def outcomes(self) -> tuple[Outcome, ...]:
        """One for each target, in the order in which they were played."""
        targets = dict.fromkeys(pair.target_return for pair in self.pairs)
        return tuple(
            outcome(
                tuple(pair for pair in self.pairs if pair.target_return == target),
                Allowed(self.allowed, self.relative),
                self.confidence,
                self.first_look,
            )
            for target in targets
        )

    @property
    def against(self) -> str:
        """What the artifact is compared with, for people."""
        return BASELINES[self.baseline]

    @property
    def problems(self) -> tuple[Pair, ...]:
        """The pairs in which an episode crashed or met a NaN."""
        return tuple(pair for pair in self.pairs if pair.problem is not None)

    @property
    def beyond(self) -> tuple[Pair, ...]:
        """The pairs whose forced error is beyond its bound."""
        return tuple(pair for pair in self.pairs if self._is_beyond(pair))

    @property
    def passed(self) -> bool:
        """Whether every target passed. An undecided one did not."""
        settled = all(found.verdict == "passed" for found in self.outcomes)
        return bool(self.pairs) and settled and not self.beyond

    @property
    def undecided(self) -> bool:
        """Whether nothing failed, and some target is open."""
        verdicts = {found.verdict for found in self.outcomes}
        return "failed" not in verdicts and "undecided" in verdicts and not self.beyond

    @property
    def expected_mean(self) -> float:
        """Mean return of the baseline over all pairs without a problem; NaN if there are none."""
        return _mean([pair.expected for pair in self.pairs if pair.problem is None])

    @property
    def mean(self) -> float:
        """The same of the artifact."""
        return _mean([pair.seen for pair in self.pairs if pair.problem is None])

    def _is_beyond(self, pair: Pair) -> bool:
        bound, error = self.forced_bound, pair.forced_error
        return bound is not None and error is not None and not error <= bound


def outcome(
    pairs: tuple[Pair, ...], allowed: Allowed, confidence: float, first_look: int | None
) -> Outcome:
    """What these pairs of one target say."""
    good = [pair for pair in pairs if pair.problem is None]
    if first_look is not None:
        look = round(math.log2(max(1.0, len(pairs) / first_look))) + 1
        confidence = confidence_at(look, confidence)
    expected, seen = _mean([p.expected for p in good]), _mean([p.seen for p in good])
    margin = allowed.margin(expected)
    forced = [p.forced_error for p in pairs if p.forced_error is not None]
    both: dict[str, Any] = {
        "target_return": pairs[0].target_return,
        "episodes": len(pairs),
        "expected": expected,
        "seen": seen,
        "margin": margin,
        "identical": sum(pair.parted is None for pair in good),
        "problems": len(pairs) - len(good),
        "forced_error": max(forced, default=None),
    }
    if not good:
        nan, everything = math.nan, math.inf
        return Outcome(
            **both, difference=nan, low=-everything, high=everything, confidence=confidence,
            verdict="failed", needed=None,
        )  # fmt: skip
    found = interval(np.array([pair.seen - pair.expected for pair in good]), confidence)
    settled = verdict(found, margin)
    return Outcome(
        **both,
        difference=found.mean,
        low=found.low,
        high=found.high,
        confidence=confidence,
        verdict="failed" if len(good) < len(pairs) else settled,
        needed=needed(found, len(good), margin),
    )


def _mean(numbers: list[float]) -> float:
    return float(np.mean(numbers)) if numbers else math.nan


__all__ = [
    "APART", "BASELINES", "TWO_PERCENT", "ActionTrace", "ClosedLoop", "Outcome", "Pair", "outcome",
]  # fmt: skip
