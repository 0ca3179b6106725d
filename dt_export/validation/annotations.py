"""What GitHub Actions shows of a validation: annotations, and a summary of the job.

The rules of escaping are those of the toolkit (``packages/core/src/command.ts``): in a message %,
CR and LF; in a property also the colon and the comma.
"""

import os
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import TextIO

from dt_export.validation.checks import checks, counted, verdict
from dt_export.validation.diagnosis import diagnose, faults
from dt_export.validation.document import Document

SHOWN = 10  # errors that GitHub shows of a step; the last one says how many there are
LIKELY = 3  # sentences of the diagnosis among them
_MARKS = {"passed": "✅", "failed": "❌", "undecided": "⚠️", "skipped": "⚪"}
_LONGEST = 500  # characters of a cell


def announce(document: Document, out: TextIO, environ: Mapping[str, str] = os.environ) -> None:
    """Print annotations and add to the job's summary, if this runs in GitHub Actions.

    Raises:
        OSError: the file of the summary cannot be written.
    """
    if environ.get("GITHUB_ACTIONS") != "true":
        return
    for line in annotations(document):
        print(line, file=out)
    if path := environ.get("GITHUB_STEP_SUMMARY"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(summary(document))


def annotations(document: Document) -> tuple[str, ...]:
    """A workflow command for what is probably wrong, and one for each check that failed or is
    undecided; none where all passed."""
    name = PurePath(document.artifact).name
    found = [c for c in checks(document.report) if c.verdict in ("failed", "undecided")]
    # A fact that differs is a check of its own, which says the same.
    likely = [f for f in faults(document.report) if f.kind not in ("contract", "precision")]
    lines = [_command(f"{name}: likely", fault.message) for fault in likely[:LIKELY]]
    lines += [_command(f"{name}: {check.area}, {check.name}", check.message) for check in found]
    if len(lines) > SHOWN:
        left = len(lines) - SHOWN + 1
        more = f"{left} more checks failed: see the summary of this job"
        lines[SHOWN - 1 :] = [_command(f"{name}: more", more)]
    return tuple(lines)


def _command(title: str, message: str) -> str:
    """``::error``, on one line whatever the texts are."""
    return f"::error title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def summary(document: Document) -> str:
    """The verdict, what is probably wrong and a table of checks, in Markdown."""
    report, found = document.report, checks(document.report)
    word = verdict(report)
    lines = [
        f"### {_MARKS[word]} {_cell(PurePath(document.artifact).name)}: {word}",
        "",
        f"Checkpoint {_cell(report.contract.source.model)}, {_cell(report.contract.graph)} graph, "
        f"{counted(report.cases, 'case')}, seed {report.seed}.",
        "",
        *(f"Likely: {_cell(sentence)}\n" for sentence in diagnose(report)),
        "| | area | check | found |",
        "| --- | --- | --- | --- |",
    ]
    for check in found:
        cells = (_MARKS[check.verdict], check.area, check.name, check.message)
        lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    return "\n".join(lines) + "\n\n"


def _cell(text: str) -> str:
    """Text that Markdown leaves alone: no line ends, links, tags or columns of its own."""
    flat = " ".join(text.split())
    short = flat if len(flat) <= _LONGEST else flat[: _LONGEST - 1] + "…"
    plain = short.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{letter}" if letter in "\\`*_[]|~#@" else letter for letter in plain)
