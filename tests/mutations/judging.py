"""What validation says of an artifact: of a right one, and of a broken one."""

from dataclasses import dataclass
from pathlib import Path

from dt_export.errors import UsageError
from dt_export.validating import validate
from dt_export.validation import Report
from dt_export.validation.diagnosis import Fault, faults
from mutations.good import Made


@dataclass(frozen=True)
class Verdict:
    """``report`` is None where the file could not even be opened."""

    passed: bool
    faults: tuple[Fault, ...]
    report: Report | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(fault.kind for fault in self.faults)

    @property
    def said(self) -> str:
        return "; ".join(f"{fault.kind}: {fault.message}" for fault in self.faults)


def judge(made: Made, path: Path, seed: int) -> Verdict:
    """``dt-export validate`` on a file, as a user calls it who knows how it was exported."""
    stated = None if made.good.precision == "fp32" else made.good.precision
    try:
        report = validate(path, made.model, made.flags, seed=seed, precision=stated)
    except UsageError as error:
        return Verdict(False, (Fault("contract", str(error)),))  # it cannot even be opened
    return Verdict(report.passed, faults(report), report)


def numbers(report: Report) -> list[tuple[object, ...]]:
    """What can be seen of an artifact's numbers."""
    return [(c.case, c.output, c.error, c.seen, c.problem) for c in report.comparisons]
