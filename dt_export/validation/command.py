"""``dt-export validate``: which checkpoint an artifact is compared with, and what is kept of it."""

import json
import secrets
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path

from dt_runtime.contract import Contract

from dt_export import checkpoints
from dt_export.checkpoints import Checkpoint, Facts, Overrides
from dt_export.checkpoints.presets import PRESETS
from dt_export.errors import UsageError
from dt_export.files.ours import PRODUCER, is_report
from dt_export.files.writing import Output, atomic
from dt_export.graphs.backbone import GRAPH
from dt_export.targets import Opened, open_artifact
from dt_export.validation.parity import Report, check

BUNDLED = "bundled:"


def prepare(
    artifact: Path, model: str | None, overrides: Overrides, provider: str
) -> tuple[Opened, Checkpoint]:
    """Open an artifact and load the checkpoint that it should equal.

    What neither flags nor checkpoint tell (statistics given at export, say) is taken from the
    artifact's contract, so that a plain ``validate`` compares like with like.

    Raises:
        UsageError: either cannot be read, or no ``--model`` was given and the contract names a
            checkpoint that cannot be found by its name.
    """
    opened = open_artifact(artifact, provider)
    contract = opened.contract
    if model is None:
        model, overrides = _named(contract, overrides)
    known = Facts(
        context_length=contract.context_length,
        return_scale=contract.return_scale,
        state_mean=contract.state.mean,
        state_std=contract.state.std,
        target_returns=contract.target_returns or None,
        environment=contract.environment,
    )
    backbone = contract.graph == GRAPH
    return opened, checkpoints.load(model, overrides, fallback=known, backbone=backbone)


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


def _named(contract: Contract, overrides: Overrides) -> tuple[str, Overrides]:
    source = contract.source
    bundled = source.model.removeprefix(BUNDLED)
    if source.model.startswith(BUNDLED) and bundled in PRESETS and PRESETS[bundled].bundled:
        return bundled, overrides
    if source.revision is not None:
        return source.model, replace(overrides, revision=overrides.revision or source.revision)
    raise UsageError(
        f"--model is missing: the artifact says that it was made from {source.model!r}, which is "
        "no preset and no revision of a Hugging Face repository"
    )
