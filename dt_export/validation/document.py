"""A validation as JSON: what `dt-export validate --json` writes, and how to read it again."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from dt_runtime.contract import Contract

from dt_export.errors import UsageError
from dt_export.files import dataclass_json
from dt_export.files.reports import json_report, parse_report, versions
from dt_export.validation.diagnosis import faults
from dt_export.validation.report import Report

FORMAT = "2.0"


@dataclass(frozen=True)
class Document:
    """A report, the file that it is about, and what it was made with."""

    report: Report
    artifact: str  # the path as it was given
    provider: str | None = None  # that ran the artifact
    versions: Mapping[str, str] | None = None  # of the packages involved

    def to_json(self) -> str:
        """Everything, with what the report concludes written out.

        Numbers that are not finite become null.
        """
        report = self.report
        plain = {f.name: _plain(getattr(report, f.name)) for f in fields(report)}
        contract = plain.pop("contract")
        for name in ("golden", "trace", "closed_loop"):
            if plain[name] is not None:
                plain[name]["passed"] = getattr(report, name).passed
        if report.closed_loop is not None:
            plain["closed_loop"]["outcomes"] = _plain(report.closed_loop.outcomes)
        content = {
            "artifact": self.artifact,
            "provider": self.provider,
            "versions": dict(self.versions or {}),
            "passed": report.passed,
            "cases": report.cases,
            "diagnosis": _plain(faults(report)),
            "drifts": _plain(report.drifts),
            **plain,
            "contract": contract,
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
            hints = get_type_hints(Report)
            plain = {
                f.name: dataclass_json.read_value(hints[f.name], content[f.name], f.name)
                for f in fields(Report)
                if f.name != "contract"
            }
            contract = Contract.from_json(json.dumps(content["contract"]))
            report = Report(contract=contract, **plain)
            return cls(report, content["artifact"], content["provider"], content["versions"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            what = f"{type(error).__name__}: {error}"
            raise UsageError(f"not a report of `dt-export validate --json`: {what}") from None


def document(report: Report, artifact: Path, provider: str | None = None) -> Document:
    """The document of a report that was made here and now."""
    return Document(report, str(artifact), provider, versions())


def _plain(value: Any) -> Any:
    """Dataclasses as mappings, however deep they are."""
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    return asdict(value) if hasattr(value, "__dataclass_fields__") else value
