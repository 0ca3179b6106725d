"""``dt-export validate``: which checkpoint an artifact is compared with, and what is kept of it."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dt_runtime.contract import Contract

from dt_export import checkpoints
from dt_export.checkpoints import Checkpoint, Facts, Overrides
from dt_export.checkpoints.presets import PRESETS
from dt_export.errors import UsageError
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
