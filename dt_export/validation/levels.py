"""How far an artifact may be from eager PyTorch: a small multiple of the model's own rounding.

Eager float32 is itself a little off from what exact arithmetic gives. How much depends on the
network, the output and the inputs, so it is measured on the very inputs that the artifact gets:
the distance of eager float32 to eager float64. An artifact in fp32 adds up the same numbers in
another order, so its error is of that size. For a smaller precision the rounding is that of eager
PyTorch with its products rounded as the artifact rounds them (see ``arithmetic``).

The multiples were chosen from measurements: see "Tolerances" in docs/validate.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dt_export.graphs.trials import Case

# The artifact's worst error over the worst rounding, and the same of root mean squares. The largest
# seen in good artifacts of all dialects, graphs and targets are in docs/validate.md.
WORST, MEAN = 4.0, 3.0
ENOUGH = 100  # numbers in a group, for a root mean square that tells something
EPSILON = 2.0**-23  # of float32
FLOOR, FLOOR_MEAN = 2 * EPSILON, EPSILON / 2  # where eager is exact, another order need not be
# No bound is wider, however large the rounding: then the numbers of the network mean little.
# fp32 beyond 1e-5 is for ill-conditioned networks alone.
CEILINGS = {"fp32": 1e-3, "fp16": 5e-3, "bf16": 2e-2, "int8": 5e-2}
WELL_CONDITIONED = 1e-5


@dataclass(frozen=True)
class Comparison:
    """One output in one case, relative to the output's scale: 1 for bounded actions, else its
    largest number or 1.

    ``error`` is how far the artifact is from the reference in float32, at worst. ``rounding`` is
    how far eager PyTorch in the artifact's precision is from float64, at worst, on these inputs.
    """

    case: Case
    output: str
    error: float
    abs_error: float
    expected: float  # the reference's value where the two differ most
    seen: float  # the artifact's value there
    problem: str | None = None  # what went wrong where there was no value to compare
    rms: float = 0.0  # the root mean square of the errors
    rounding: float = 0.0
    rounding_rms: float = 0.0
    count: int = 0  # numbers compared

    @property
    def extreme(self) -> bool:
        return self.case.kind == "extreme"


@dataclass(frozen=True)
class Level:
    """The rounding of one output over all cases of usual, or of extreme, inputs; and what an
    artifact may be off there: at worst, and in the root mean square of a group of cases."""

    output: str
    extreme: bool
    rounding: float
    rounding_rms: float
    bound: float
    bound_rms: float

    def ratio(self, error: float) -> float:
        """An error in units of the rounding, which is float32's last bit at least."""
        return error / max(self.rounding, FLOOR / WORST)


def levels(
    comparisons: Iterable[Comparison], precision: str, tolerance: float | None
) -> tuple[Level, ...]:
    """One for each output and kind of inputs.

    Args:
        precision: whose ceiling applies.
        tolerance: the user's own bound, which replaces the measured ones.
    """
    members: dict[tuple[str, bool], list[Comparison]] = {}
    for comparison in comparisons:
        members.setdefault((comparison.output, comparison.extreme), []).append(comparison)
    found = []
    for (output, extreme), mine in members.items():
        # Extreme inputs are few: what usual ones are rounded by goes for them too.
        counted = [*mine, *members.get((output, False), ())]
        worst = max(comparison.rounding for comparison in counted)
        mean = max(
            root_mean_square((c.rounding_rms, c.count) for c in some) for some in (mine, counted)
        )
        bound = bound_of(worst, precision, tolerance)
        bound_mean = min(max(MEAN * mean, FLOOR_MEAN), CEILINGS[precision])
        if tolerance is not None:
            bound_mean = tolerance
        found.append(Level(output, extreme, worst, mean, bound, bound_mean))
    return tuple(found)


def bound_of(rounding: float, precision: str, tolerance: float | None = None) -> float:
    """What a single number may be off where the worst rounding is this."""
    if tolerance is not None:
        return tolerance
    return min(max(WORST * rounding, FLOOR), CEILINGS[precision])


def root_mean_square(parts: Iterable[tuple[float, int]]) -> float:
    """Of all numbers, from the root mean squares of parts of them and their counts."""
    squares, counts = 0.0, 0
    for value, count in parts:
        squares, counts = squares + value * value * count, counts + count
    return float(np.sqrt(squares / counts)) if counts else 0.0
