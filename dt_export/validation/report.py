"""The result of a validation."""

from dataclasses import dataclass

from dt_runtime.contract import Contract, Validation

from dt_export.graphs.trials import Case
from dt_export.validation.closed_loop import ClosedLoop


@dataclass(frozen=True)
class Comparison:
    """One output in one case. ``error`` is compared with the tolerance."""

    case: Case
    output: str
    error: float
    abs_error: float
    expected: float  # the reference's value where the two differ most
    seen: float  # the artifact's value there
    problem: str | None = None  # what went wrong where there was no value to compare


@dataclass(frozen=True)
class Report:
    """The result of a validation: every comparison, the tolerance and the verdict."""

    contract: Contract
    comparisons: tuple[Comparison, ...]
    differences: tuple[str, ...]  # facts on which contract and checkpoint disagree
    tolerance: float
    reference: str
    seed: int
    precision: str = "fp32"  # what the graph counts in
    stated: str | None = None  # what the user says that it counts in
    closed_loop: ClosedLoop | None = None  # of a smaller precision, against fp32
    not_played: str | None = None  # why there is none
    notes: tuple[str, ...] = ()  # what was not checked, and what the user may have chosen

    @property
    def failures(self) -> tuple[Comparison, ...]:
        return tuple(c for c in self.comparisons if not c.error <= self.tolerance)

    @property
    def passed(self) -> bool:
        return self.equal and (self.closed_loop is None or self.closed_loop.passed)

    @property
    def equal(self) -> bool:
        """Whether every single output is within the tolerance."""
        return bool(self.comparisons) and not self.failures and not self.differences

    @property
    def worst(self) -> Comparison:
        return max(self.comparisons, key=lambda c: c.error)

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
            tolerance=self.tolerance,
            reference=self.reference,
            episodes=0 if loop is None else len(loop.pairs),
            mean_return=None if loop is None else loop.mean,
            fp32_return=None if loop is None else loop.expected_mean,
        )
