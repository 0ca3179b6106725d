"""``dt-export validate --junit``: a validation as the XML that CI servers read."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from xml.etree import ElementTree

from dt_export.files.ours import is_junit
from dt_export.files.writing import Output, atomic
from dt_export.validation.checks import AREAS, Check, checks
from dt_export.validation.diagnosis import diagnose
from dt_export.validation.document import Document

# What XML 1.0 has no way to write, not even escaped.
_INVALID = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(
    document: Document,
    *,
    seconds: Mapping[str, float] | None = None,
    timestamp: str | None = None,
) -> str:
    """A test suite for each area, and in it a test case for each check.

    What is undecided counts as a failure, as it does for the exit code. A check that was not made
    is skipped, with the reason.

    Args:
        seconds: what each area took, by its name in ``checks.AREAS``. A case by itself has no time.
        timestamp: when it began, as ISO 8601 without a zone.
    """
    found, times = checks(document.report), seconds or {}
    root = ElementTree.Element("testsuites", {"name": "dt-export validate", **_counts(found)})
    del root.attrib["skipped"]  # the schema has it in suites alone
    if seconds is not None:
        root.set("time", f"{sum(times.values()):.3f}")
    for area in AREAS:
        members = [check for check in found if check.area == area]
        if members:
            root.append(_suite(document, area, members, times.get(area, 0.0), timestamp))
    ElementTree.indent(root, " ")
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def write_junit(text: str, path: Path, *, inputs: Iterable[Path] = (), force: bool = False) -> None:
    """Write what ``junit`` gave, all of it or nothing.

    Raises:
        UsageError: the file is one of ``inputs``, or exists, is no JUnit XML of ours and there is
            no ``force``, or it cannot be written.
    """
    with atomic(Output(path, "--junit", is_junit, tuple(inputs), force)) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _suite(
    document: Document, area: str, members: list[Check], seconds: float, timestamp: str | None
) -> ElementTree.Element:
    name = PurePath(document.artifact).name
    suite = ElementTree.Element("testsuite", {"name": _valid(f"{name}: {area}")})
    suite.attrib |= {**_counts(members), "time": f"{seconds:.3f}"}
    if timestamp is not None:
        suite.set("timestamp", timestamp)
    properties = ElementTree.SubElement(suite, "properties")
    for key, value in _properties(document).items():
        ElementTree.SubElement(properties, "property", {"name": key, "value": _valid(value)})
    # CI servers take what stands before a dot for a package.
    group = _valid(f"{name.replace('.', '_')}.{area}")
    for check in members:
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": group, "name": _valid(check.name)}
        )
        message = {"message": _valid(check.message)}
        if check.verdict == "skipped":
            ElementTree.SubElement(case, "skipped", message)
        elif check.verdict != "passed":
            failure = ElementTree.SubElement(case, "failure", {**message, "type": check.verdict})
            failure.text = _valid(check.detail or check.message)
        else:
            ElementTree.SubElement(case, "system-out").text = _valid(check.message)
    likely = diagnose(document.report)
    if likely and any(check.verdict == "failed" for check in members):
        ElementTree.SubElement(suite, "system-out").text = _valid("\n".join(likely))
    return suite


def _counts(found: tuple[Check, ...] | list[Check]) -> dict[str, str]:
    return {
        "tests": str(len(found)),
        "failures": str(sum(check.verdict in ("failed", "undecided") for check in found)),
        "errors": "0",
        "skipped": str(sum(check.verdict == "skipped" for check in found)),
    }


def _properties(document: Document) -> dict[str, str]:
    report = document.report
    facts = {
        "artifact": document.artifact,
        "checkpoint": report.contract.source.model,
        "graph": report.contract.graph,
        "precision": report.precision,
        "reference": report.reference,
        "seed": str(report.seed),
        "provider": document.provider or "",
    }
    versions = {f"version.{name}": value for name, value in (document.versions or {}).items()}
    return {name: value for name, value in (facts | versions).items() if value}


def _valid(text: str) -> str:
    """The text with \\x1b for a character that XML cannot hold."""
    return _INVALID.sub(lambda found: ascii(found[0])[1:-1], text)
