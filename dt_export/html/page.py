"""``dt-export validate --report``: a validation as one HTML file to attach to a release."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path

from dt_export.errors import UsageError
from dt_export.files.ours import is_page
from dt_export.files.writing import Output, atomic
from dt_export.html import actions, errors, latency, numbers, returns, trace
from dt_export.html.plot import Plot, Table
from dt_export.html.rendering import rendered
from dt_export.validation.checks import Check, checks, counted, verdict
from dt_export.validation.closed_loop import BASELINES
from dt_export.validation.document import Document
from dt_export.validation.report import Report

SUFFIXES = (".html", ".htm")
NEEDED = ("matplotlib", "jinja2")
SHOWN = 60  # checks of an area that passed
NAMED = 5  # failed checks in the verdict; the table has all
REFERENCES = {"eager": "eager PyTorch", "transformers": "transformers"}


@dataclass(frozen=True)
class Made:
    """How a report came to be, as far as the report itself does not say.

    Args:
        command: what to type to repeat it, the seed included.
        size: of the artifact's file, in bytes.
        sha256: of the artifact's file.
        machine: what it ran on: any names and values.
        date: when, as text.
    """

    command: str = ""
    size: int | None = None
    sha256: str | None = None
    machine: Mapping[str, str] = field(default_factory=dict)
    date: str | None = None


def made(artifact: Path, command: str, date: str | None = None) -> Made:
    """How a report about this file came to be, here and now."""
    from dt_export.bench.machine import machine

    here = machine()
    facts = {
        "processor": here.cpu,
        "cores": str(here.cores),
        "system": here.system,
        "Python": here.python,
    }
    with artifact.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Made(command, artifact.stat().st_size, sha256, facts, date)


def check(path: Path, inputs: Iterable[Path] = (), force: bool = False) -> None:
    """Check before minutes of work that the page can be written.

    Raises:
        UsageError: the suffix is not .html, the folder does not exist, matplotlib or Jinja2 is not
            installed, or the file is one of ``inputs`` or exists, and neither dt-export wrote it
            nor ``force`` is given.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--report {path}: expected a file ending in {' or '.join(SUFFIXES)}")
    Output(path, "--report", is_page, tuple(inputs), force).check()
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"--report needs {' and '.join(missing)}: `pip install 'dt-export[report]'`"
        )


def write_page(
    document: Document,
    path: Path,
    made: Made,
    *,
    diagnosis: Sequence[str] = (),
    inputs: Iterable[Path] = (),
    force: bool = False,
) -> None:
    """Write a report's page, all of it or nothing; the same arguments give the same bytes.

    Raises:
        UsageError: as in ``check``.
    """
    inputs = tuple(inputs)
    check(path, inputs, force)
    text = page(document, made, diagnosis=diagnosis)
    with atomic(Output(path, "--report", is_page, inputs, force)) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def page(document: Document, made: Made, *, diagnosis: Sequence[str] = ()) -> str:
    """A validation as HTML: the verdict first, then what it rests on.

    Args:
        diagnosis: what is probably wrong, in sentences.
    """
    report, loop = document.report, document.report.closed_loop
    found = checks(report)
    wrong = _in_turn([c for c in found if c.verdict in ("failed", "undecided")])
    baseline = "" if loop is None else BASELINES[loop.baseline]
    shown = _shown(found)
    drawn = errors.plots(report)
    outputs = dict.fromkeys(c.output for c in report.comparisons)
    timed = None if loop is None else loop.latency
    return rendered(
        "validation.html.jinja",
        name=Path(document.artifact).name,
        verdict=verdict(report),
        summary=_summary(report, found),
        wrong=wrong[:NAMED],
        more_wrong=len(wrong) - NAMED if len(wrong) > NAMED else 0,
        diagnosis=[sentence[:1].upper() + sentence[1:] for sentence in diagnosis],
        compared=_compared(document, made),
        command=made.command,
        checks=shown,
        more_checks=len(found) - len(shown),
        trace=None if report.trace is None else trace.plot(report.trace),
        reference=REFERENCES.get(report.reference, report.reference),
        errors=drawn,
        not_drawn=", ".join(list(outputs)[errors.DRAWN :] if len(outputs) > errors.DRAWN else ()),
        returns=returns.plots(loop, baseline) if loop is not None else (),
        actions=_actions(report, baseline),
        baseline=baseline,
        latency=None if timed is None else latency.plot(timed),
        contract=_contract(report),
        tensors=_tensors(report),
        contract_json=json.dumps(asdict(report.contract), indent=1),
        notes=(*report.notes, *(c.message for c in found if _left_out(c))),
        versions=_versions(document, made),
    )


def _actions(report: Report, baseline: str) -> tuple[Plot, ...]:
    loop = report.closed_loop
    return () if loop is None else actions.plots(loop.traces, baseline, report.contract.action)


def _summary(report: Report, found: Sequence[Check]) -> str:
    count = {
        word: sum(c.verdict == word for c in found) for word in ("passed", "failed", "undecided")
    }
    made = sum(count.values())
    parts = [f"{count['passed']} of {made} checks passed"]
    parts += [f"{count[word]} {word}" for word in ("failed", "undecided") if count[word]]
    text = ", ".join(parts) + "."
    finite = [c for c in report.comparisons if c.problem is None]
    if finite:
        worst = max(finite, key=report.share)
        level = report.level(worst)
        text += (
            f" In {counted(report.cases, 'case')} the worst error is {numbers.error(worst.error)}; "
            f"{numbers.error(level.bound)} is allowed, and the model's own rounding in "
            f"{report.counted} is {numbers.error(level.rounding)}."
        )
    return text


def _in_turn(found: Sequence[Check]) -> list[Check]:
    """The first check of each area, then the second of each, and so on."""
    before: dict[str, int] = {}
    turns = []
    for check in found:
        before[check.area] = before.get(check.area, -1) + 1
        turns.append(before[check.area])
    order = sorted(range(len(found)), key=turns.__getitem__)
    return [found[i] for i in order]


def _shown(found: Sequence[Check]) -> list[Check]:
    """All that did not pass, and of each area the first ones that did."""
    passed: dict[str, int] = {}
    shown = []
    for check in found:
        if check.verdict == "passed":
            passed[check.area] = passed.get(check.area, 0) + 1
        if check.verdict != "passed" or passed[check.area] <= SHOWN:
            shown.append(check)
    return shown


def _left_out(check: Check) -> bool:
    """Whether a whole area was not checked; notes about the contract are in the report itself."""
    return check.verdict == "skipped" and check.area != "contract"


Facts = list[tuple[str, str | None]]


def _compared(document: Document, made: Made) -> Facts:
    report, contract = document.report, document.report.contract
    source = contract.source
    return [
        ("artifact", document.artifact),
        ("size", None if made.size is None else numbers.size(made.size)),
        ("sha256", made.sha256),
        ("target", str(contract.producer.get("target", "")) or None),
        ("graph", contract.graph),
        (
            "precision",
            report.precision
            if report.stated is None
            else f"{report.precision}, stated {report.stated}",
        ),
        ("provider", document.provider),
        ("checkpoint", source.model),
        ("revision", source.revision),
        ("weights sha256", source.sha256),
        ("compared with", REFERENCES.get(report.reference, report.reference)),
        (
            "tolerance",
            "from the model's own rounding"
            if report.tolerance is None
            else f"{report.tolerance:g}, given",
        ),
        ("cases", str(report.cases)),
        ("seed", str(report.seed)),
        ("date", made.date),
    ]


def _contract(report: Report) -> Facts:
    contract = report.contract
    state, action = contract.state, contract.action
    bounds = None
    if action.low is not None and action.high is not None:
        pairs = dict.fromkeys(zip(action.low, action.high, strict=True))
        bounds = ", ".join(f"{low:g} to {high:g}" for low, high in pairs)
    return [
        ("dialect", contract.dialect),
        ("observation", " x ".join(map(str, state.shape)) + " numbers"),
        ("statistics", None if state.mean is None else "mean and std of the observations"),
        ("action", f"{action.kind}, {action.size}"),
        ("action bounds", bounds),
        ("context length K", str(contract.context_length)),
        ("longest episode", f"{contract.max_ep_len} timesteps"),
        ("first timestep", str(contract.first_timestep)),
        ("return scale", f"{contract.return_scale:g}"),
        ("target returns", ", ".join(f"{target:g}" for target in contract.target_returns) or None),
        ("environment", contract.environment),
        ("contract format", contract.format),
    ]


def _tensors(report: Report) -> Table:
    contract = report.contract
    rows = [
        (spec.name, kind, spec.dtype, "[" + ", ".join(map(str, spec.shape)) + "]")
        for kind, specs in (("input", contract.inputs), ("output", contract.outputs))
        for spec in specs
    ]
    return Table(("tensor", "", "dtype", "shape"), tuple(rows), text=True)


def _versions(document: Document, made: Made) -> Facts:
    producer = {name: str(value) for name, value in document.report.contract.producer.items()}
    exported = ", ".join(f"{name} {value}" for name, value in producer.items())
    return [*made.machine.items(), *(document.versions or {}).items(), ("exported with", exported)]
