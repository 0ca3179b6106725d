"""A validation as JSON: what `dt-export validate --json` writes, and how to read it again."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from dt_runtime.contract import Contract

from dt_export.errors import UsageError
from dt_export.files.reports import json_report, parse_report, versions
from dt_export.graphs.trials import Case
from dt_export.validation.closed_loop import read_closed_loop
from dt_export.validation.levels import Comparison, Level
from dt_export.validation.report import Replayed, Report
from dt_export.validation.trace import Along, TraceResult

FORMAT = "2.0"
_TUPLES = ("differences", "notes")


@dataclass(frozen=True)
class Document:
    """A report, the file that it is about, and what it was made with."""

    report: Report
    artifact: str  # the path as it was given
    provider: str | None = None  # that ran the artifact
    versions: Mapping[str, str] | None = None  # of the packages involved

    def to_json(self) -> str:
        """Everything, with what the report concludes (``passed``, ``cases``) written out.

        Numbers that are not finite become null.
        """
        report = self.report
        plain = {f.name: getattr(report, f.name) for f in fields(report) if f.name != "contract"}
        plain["comparisons"] = [asdict(comparison) for comparison in report.comparisons]
        plain["levels"] = [asdict(level) for level in report.levels]
        for name in _PARTS:
            part = getattr(report, name)
            plain[name] = None if part is None else {**asdict(part), "passed": part.passed}
        content = {
            "artifact": self.artifact,
            "provider": self.provider,
            "versions": dict(self.versions or {}),
            "passed": report.passed,
            "cases": report.cases,
            **plain,
            "contract": asdict(report.contract),
        }
        return json_report(FORMAT, content)

    @classmethod
    def from_json(cls, text: str) -> "Document":
        """Read what ``to_json`` wrote. Of a null, an error is infinite again and a value NaN.

        Raises:
            UsageError: it is no such document.
        """
        try:
            content = parse_report(text, FORMAT)
            plain = {f.name: content[f.name] for f in fields(Report) if f.name != "contract"}
            plain |= {name: tuple(plain[name]) for name in _TUPLES}
            plain["comparisons"] = tuple(_comparison(entry) for entry in plain["comparisons"])
            for name, read in _PARTS.items():
                plain[name] = None if plain[name] is None else read(plain[name])
            plain["levels"] = tuple(Level(**level) for level in plain["levels"])
            contract = Contract.from_json(json.dumps(content["contract"]))
            report = Report(contract=contract, **plain)
            return cls(report, content["artifact"], content["provider"], content["versions"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            what = f"{type(error).__name__}: {error}"
            raise UsageError(f"not a report of `dt-export validate --json`: {what}") from None


def document(report: Report, artifact: Path, provider: str | None = None) -> Document:
    """The document of a report that was made here and now."""
    return Document(report, str(artifact), provider, versions())


def _comparison(entry: Mapping[str, Any]) -> Comparison:
    nulls = dict.fromkeys(("error", "abs_error", "rms"), math.inf)
    nulls |= {"expected": math.nan, "seen": math.nan}
    values: dict[str, Any] = {**entry, "case": Case(**entry["case"])}
    values |= {name: null for name, null in nulls.items() if values[name] is None}
    return Comparison(**values)


def _replayed(entry: Mapping[str, Any]) -> Replayed:
    plain = {f.name: entry[f.name] for f in fields(Replayed)}
    return Replayed(**{**plain, "max_abs_error": _error(plain["max_abs_error"])})


def _trace(entry: Mapping[str, Any]) -> TraceResult:
    plain = {f.name: entry[f.name] for f in fields(TraceResult)}
    return TraceResult(**{**plain, "episodes": tuple(_along(e) for e in plain["episodes"])})


def _along(entry: Mapping[str, Any]) -> Along:
    errors = tuple(_error(error) for error in entry["errors"])
    return Along(**{**entry, "errors": errors, "rounding": tuple(entry["rounding"])})


def _error(value: float | None) -> float:
    return math.inf if value is None else value


# What is only there where the user asked for it.
_PARTS: dict[str, Callable[[Any], Any]] = {
    "golden": _replayed,
    "trace": _trace,
    "closed_loop": read_closed_loop,
}
