"""The result of a validation."""

import math
from dataclasses import dataclass

from dt_runtime.contract import Contract, Validation

from dt_export.validation.closed_loop import ClosedLoop
from dt_export.validation.levels import (
    ENOUGH,
    WELL_CONDITIONED,
    Comparison,
    Level,
    root_mean_square,
)
from dt_export.validation.trace import TraceResult

ACTIONS = ("action", "action_preds")  # outputs that may have bounds
NOTHING = 1e-9  # of a rounding: float32 keeps seven digits


@dataclass(frozen=True)
class Drift:
    """A group of cases that is off on the whole, though perhaps in no single number."""

    group: str
    output: str
    rms: float
    rounding_rms: float
    bound: float


@dataclass(frozen=True)
class Replayed:
    """What came of a golden episode."""

    file: str
    acts: int  # calls that were compared
    max_abs_error: float
    tolerance: float
    mismatches: int
    first_mismatch: str | None  # in words

    @property
    def passed(self) -> bool:
        return self.acts > 0 and not self.mismatches


@dataclass(frozen=True)
class Report:
    """The result of a validation: every comparison, what each may be off, and the verdict."""

    contract: Contract
    comparisons: tuple[Comparison, ...]
    differences: tuple[str, ...]  # facts on which contract and checkpoint disagree
    levels: tuple[Level, ...]
    tolerance: float | None  # the user's own
    reference: str
    seed: int
    precision: str = "fp32"  # what the graph counts in
    counted: str = "fp32"  # whose rounding the bounds come from: the strictest that anyone says
    stated: str | None = None  # what the user says that it counts in
    closed_loop: ClosedLoop | None = None  # episodes, against eager PyTorch or fp32
    not_played: str | None = None  # why an export of a smaller precision has none
    notes: tuple[str, ...] = ()  # what was not checked, and what the user may have chosen
    golden: Replayed | None = None  # a golden episode
    trace: TraceResult | None = None  # recorded episodes

    def level(self, comparison: Comparison) -> Level:
        """What the comparison is judged by."""
        return next(
            level
            for level in self.levels
            if (level.output, level.extreme) == (comparison.output, comparison.extreme)
        )

    def share(self, comparison: Comparison) -> float:
        """The error as a part of what is allowed: beyond 1 it fails."""
        bound = self.level(comparison).bound
        if bound == 0:  # the user's own: nothing at all is allowed
            return 0.0 if comparison.error == 0 else math.inf
        return comparison.error / bound

    def ratio(self, comparison: Comparison) -> float:
        """The error in units of the model's own rounding."""
        return self.level(comparison).ratio(comparison.error)

    @property
    def comparable(self) -> bool:
        """Whether the sizes allow to compare anything at all."""
        return bool(self.comparisons)

    @property
    def action_bound(self) -> float | None:
        """What an action, or a logit, may be off on usual inputs."""
        names = (*ACTIONS, "logits")
        return next((v.bound for v in self.levels if v.output in names and not v.extreme), None)

    @property
    def insensitive(self) -> tuple[str, ...]:
        """Actions without any rounding: they are all at their bounds, where no error can show."""
        compared = {c.output for c in self.comparisons if c.count and not c.extreme}
        still = [v.output for v in self.levels if not v.extreme and v.rounding < NOTHING]
        return tuple(name for name in still if name in compared and name in ACTIONS)

    @property
    def ill_conditioned(self) -> tuple[Level, ...]:
        """Outputs that float32 alone leaves so uncertain that more than 1e-5 has to be allowed."""
        if self.counted != "fp32" or self.tolerance is not None:
            return ()
        return tuple(level for level in self.levels if level.bound > WELL_CONDITIONED)

    @property
    def failures(self) -> tuple[Comparison, ...]:
        return tuple(c for c in self.comparisons if not c.error <= self.level(c).bound)

    @property
    def drifts(self) -> tuple[Drift, ...]:
        """Groups without a failure in which the errors on the whole are beyond rounding."""
        failed = {(c.case.group, c.output) for c in self.failures}
        members: dict[tuple[str, str, bool], list[Comparison]] = {}
        for c in self.comparisons:
            members.setdefault((c.case.group, c.output, c.extreme), []).append(c)
        found = []
        for (group, output, _), mine in members.items():
            level, enough = self.level(mine[0]), sum(c.count for c in mine) >= ENOUGH
            rms = root_mean_square((c.rms, c.count) for c in mine)
            if enough and (group, output) not in failed and not rms <= level.bound_rms:
                found.append(Drift(group, output, rms, level.rounding_rms, level.bound_rms))
        return tuple(found)

    @property
    def passed(self) -> bool:
        others = (self.golden, self.trace, self.closed_loop)
        return self.equal and all(other is None or other.passed for other in others)

    @property
    def equal(self) -> bool:
        """Whether every single output is within its bound."""
        faults = self.failures or self.drifts or self.differences
        return bool(self.comparisons) and not faults

    @property
    def worst(self) -> Comparison:
        """The comparison nearest to its bound, or furthest beyond it."""
        return max(self.comparisons, key=self.share)

    @property
    def cases(self) -> int:
        return len({c.case for c in self.comparisons})

    def groups(self) -> dict[str, tuple[Comparison, ...]]:
        groups: dict[str, list[Comparison]] = {}
        for comparison in self.comparisons:
            groups.setdefault(comparison.case.group, []).append(comparison)
        return {name: tuple(members) for name, members in groups.items()}

    def validation(self) -> Validation:
        """What goes into the contract."""
        loop = self.closed_loop
        return Validation(
            cases=self.cases,
            max_abs_error=max(c.abs_error for c in self.comparisons),
            max_error=self.worst.error,
            tolerance=self.level(self.worst).bound,
            rounding=self.level(self.worst).rounding,
            reference=self.reference,
            episodes=0 if loop is None else len(loop.pairs),
            mean_return=None if loop is None else loop.mean,
            fp32_return=None if loop is None else loop.expected_mean,
        )
