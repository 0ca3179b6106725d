"""The statistics of a closed loop: differences of returns on the same seeds.

Both sides play the same seeds, so the spread of the differences counts, which is smaller than that
of the returns. The interval is Student's t. On returns of the bundled policy, fp32 against int8, it
covers the true difference in 94 to 96 % of samples of 10 to 40 episodes, and a percentile bootstrap
in 86 to 94 %. Where one episode in many differs by far more than the others, both cover less (with
20 episodes 83 and 78 %): a small sample may not contain such an episode.
"""

import math
import re
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from dt_export.errors import UsageError

CONFIDENCE = 0.95
EPISODES = 20
LOOKS = 5  # with --until-sure: 20, 40, 80, 160 and 320 episodes
MOST_NEEDED = 1_000_000  # episodes beyond this are no answer
SERIES = 200  # degrees of freedom, beyond which Student's distribution is nearly normal

Verdict = Literal["passed", "failed", "undecided"]


@dataclass(frozen=True)
class Allowed:
    """How far the mean returns may be apart: a fraction of the baseline's, or a raw return."""

    amount: float
    relative: bool = True

    def margin(self, expected: float) -> float:
        """In raw return, where the baseline's mean return is ``expected``."""
        return self.amount * abs(expected) if self.relative else self.amount

    def __str__(self) -> str:
        return f"{100 * self.amount:g} %" if self.relative else f"{self.amount:g}"


TWO_PERCENT = Allowed(0.02)
_ALLOWED = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE]([+-]?[0-9]{1,3}))?\s*(%?)")


def parse_allowed(text: str) -> Allowed:
    """``2%`` of the baseline's mean return, or ``5`` in raw return.

    Raises:
        UsageError: neither of the two, or not above 0.
    """
    found = _ALLOWED.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"--allowed is {text!r}, expected a percentage of the mean return, such as 2%, or an "
            "amount of raw return, such as 5"
        )
    amount = float(f"{found[1]}e{found[2] or 0}")
    if not 0 < amount < math.inf:
        raise UsageError(f"--allowed is {text!r}, expected more than 0, such as 2% or 5")
    return Allowed(amount / 100) if found[3] else Allowed(amount, relative=False)


@dataclass(frozen=True)
class Interval:
    """A confidence interval of a mean difference; infinite where there is no spread to see."""

    mean: float
    spread: float  # standard deviation of the differences
    low: float
    high: float
    confidence: float


def interval(differences: np.ndarray, confidence: float = CONFIDENCE) -> Interval:
    """Student's t interval of the mean of these differences, [N].

    Of one difference it is infinite. Of differences that are all equal it is that number alone.

    Raises:
        ValueError: there are none, one is not finite, or the confidence is not within 0 and 1.
    """
    if not differences.size or not np.isfinite(differences).all() or not 0 < confidence < 1:
        raise ValueError(f"expected finite differences, and a confidence in (0, 1): {confidence}")
    mean = float(differences.mean())
    if differences.size == 1:
        return Interval(mean, math.nan, -math.inf, math.inf, confidence)
    # The mean of equal numbers may be off by rounding, and so may their spread.
    spread = 0.0 if np.ptp(differences) == 0.0 else float(differences.std(ddof=1))
    mean = float(differences[0]) if spread == 0.0 else mean
    half = t_quantile(confidence, differences.size - 1) * spread / math.sqrt(differences.size)
    return Interval(mean, spread, mean - half, mean + half, confidence)


def verdict(found: Interval, margin: float) -> Verdict:
    """``passed``: the whole interval is within +-margin. ``failed``: all of it lies outside."""
    if -margin <= found.low and found.high <= margin:
        return "passed"
    return "failed" if found.low > margin or found.high < -margin else "undecided"


def needed(found: Interval, episodes: int, margin: float) -> int | None:
    """About how many episodes settle it, if mean and spread stay what they are.

    None where no number would: the mean difference is as large as the margin, or there is no spread
    to go by, as with one episode.
    """
    if verdict(found, margin) != "undecided":
        return episodes
    gap = abs(margin - abs(found.mean))
    if not math.isfinite(found.spread) or gap == 0.0:
        return None
    count = episodes
    while count <= MOST_NEEDED:
        half = t_quantile(found.confidence, count - 1) * found.spread / math.sqrt(count)
        if half <= gap:
            return count
        count = max(count + 1, min(math.ceil(count * (half / gap) ** 2), MOST_NEEDED + 1))
    return None


def confidence_at(look: int, confidence: float = CONFIDENCE) -> float:
    """The confidence at the first, second, ... of repeated looks at a growing sample.

    The looks share the error: half of it goes to the first, a quarter to the second, and so on. So
    the chance that any of them is wrong stays below it, however many there are.
    """
    return 1.0 - (1.0 - confidence) / 2.0**look


def t_quantile(confidence: float, freedom: int) -> float:
    """The half-width in standard errors: |t| is below it with this probability."""
    if freedom > SERIES:
        z = NormalDist().inv_cdf((1.0 + confidence) / 2.0)
        first, second = (z**3 + z) / 4.0, (5.0 * z**5 + 16.0 * z**3 + 3.0 * z) / 96.0
        return z + first / freedom + second / freedom**2  # Cornish and Fisher
    low, high = 0.0, 1.0
    while _t_within(high, freedom) < confidence:
        low, high = high, 2.0 * high
    for _ in range(100):
        middle = (low + high) / 2.0
        low, high = (middle, high) if _t_within(middle, freedom) < confidence else (low, middle)
    return high


def _t_within(t: float, freedom: int) -> float:
    """P(|T| < t) of Student's distribution: Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(freedom))
    square = math.cos(angle) ** 2
    odd = freedom % 2
    term, total = (math.cos(angle) if odd else 1.0), 0.0
    for k in range(1 if odd else 0, freedom - 1, 2):
        total += term
        term *= square * (k + 1) / (k + 2)
    if odd:
        return 2.0 / math.pi * (angle + math.sin(angle) * total)
    return math.sin(angle) * total
