"""Which checkpoint an artifact is compared with."""

from dataclasses import replace
from pathlib import Path

from dt_runtime.contract import Contract

from dt_export import checkpoints
from dt_export.checkpoints import Checkpoint, Facts, Overrides
from dt_export.checkpoints.presets import PRESETS
from dt_export.errors import UsageError
from dt_export.graphs import graph_of
from dt_export.targets import Opened, open_artifact

BUNDLED = "bundled:"


def pair(
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
    backbone = graph_of(contract).of_backbone
    return opened, checkpoints.load(model, overrides, fallback=known, backbone=backbone)


def _named(contract: Contract, overrides: Overrides) -> tuple[str, Overrides]:
    source = contract.source
    bundled = source.model.removeprefix(BUNDLED)
    if source.model.startswith(BUNDLED) and bundled in PRESETS and PRESETS[bundled].bundled:
        return bundled, overrides
    if source.revision is not None:
        return source.model, replace(overrides, revision=overrides.revision or source.revision)
    raise UsageError(
        f"--model is missing: the artifact says that it was made from {source.model!r}, which is "
        "neither a preset nor a Hugging Face id with a revision; pass it"
    )
