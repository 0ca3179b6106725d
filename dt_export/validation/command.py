"""``dt-export validate``: what is compared, and what is kept of it."""

import json
import secrets
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from dt_export.checkpoints import Checkpoint
from dt_export.files.ours import PRODUCER, is_report
from dt_export.files.writing import Output, atomic
from dt_export.targets import Opened
from dt_export.validation.pairing import pair
from dt_export.validation.parity import check
from dt_export.validation.report import Report

__all__ = ["pair", "validate", "write_json"]


def validate(
    opened: Opened,
    checkpoint: Checkpoint,
    reference: str = "eager",
    seed: int | None = None,
    on_case: Callable[[int, int], None] | None = None,
    precision: str | None = None,
) -> Report:
    """Compare on fresh inputs, or on those of a seed that an earlier report named.

    ``precision`` is what the artifact is said to count in, as in ``check``.
    """
    seed = secrets.randbits(32) if seed is None else seed
    return check(
        opened, checkpoint, seed=seed, reference_name=reference, precision=precision,
        on_case=on_case,
    )  # fmt: skip


def write_json(
    report: Report, path: Path, *, inputs: Iterable[Path] = (), force: bool = False
) -> None:
    """Everything in a report, as JSON; non-finite numbers become null.

    Raises:
        UsageError: the file is one of ``inputs``, or exists, is no report of ours and there is no
            ``force``, or it cannot be written.
    """
    document = {
        "producer": PRODUCER,
        "passed": report.passed,
        "reference": report.reference,
        "tolerance": report.tolerance,
        "seed": report.seed,
        "cases": report.cases,
        "differences": list(report.differences),
        "notes": list(report.notes),
        "comparisons": [asdict(comparison) for comparison in report.comparisons],
    }
    text = json.dumps(json.loads(json.dumps(document), parse_constant=lambda _: None), indent=1)
    with atomic(Output(path, "--json", is_report, tuple(inputs), force)) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
