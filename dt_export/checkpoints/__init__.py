"""Loading checkpoints: one file per dialect, each with ``detect(path)`` and ``load(path, ...)``."""

from dataclasses import replace
from pathlib import Path

from dt_runtime.contract import Source

from dt_export.checkpoints import huggingface
from dt_export.checkpoints.checkpoint import Checkpoint
from dt_export.checkpoints.locate import locate
from dt_export.errors import CheckpointError
from dt_export.facts import (
    DEFAULT_CONTEXT_LENGTH,
    DEFAULT_RETURN_SCALE,
    Facts,
    Overrides,
    check_sizes,
)
from dt_export.model import ModelConfig
from dt_export.sidecars import from_flags

DIALECTS = {"huggingface": huggingface}

__all__ = ["DIALECTS", "Checkpoint", "Facts", "Overrides", "load"]


def load(
    model: str, overrides: Overrides | None = None, fallback: Facts | None = None
) -> Checkpoint:
    """Load a checkpoint: a preset's name, a local path, or a Hugging Face id.

    Facts come from ``overrides`` (flags), then from files beside the weights, then from the
    preset, then from ``fallback``, then from defaults, which are named in the checkpoint's notes.

    Raises:
        CheckpointError: not found, not readable, not understood; the message says which.
        UsageError: flags that contradict the checkpoint.
    """
    overrides = overrides or Overrides()
    flags = from_flags(overrides)
    located = locate(model, overrides.revision)
    dialect = detect(located.path)
    found = DIALECTS[dialect].load(located.path, overrides)

    facts = flags.over(found.facts).over(located.facts).over(fallback or Facts())
    config = found.model.config
    check_sizes(facts, config.state_dim, config.act_dim)
    facts, notes, warnings = _settle(facts, config)
    return Checkpoint(
        name=located.name,
        path=located.path,
        dialect=dialect,
        model=found.model,
        facts=facts,
        source=Source(located.model, located.revision, found.sha256),
        notes=found.notes + notes,
        warnings=warnings,
    )


def detect(path: Path) -> str:
    """The dialect that claims a path.

    Raises:
        CheckpointError: none does; the message lists what was looked for.
    """
    for name, dialect in DIALECTS.items():
        if dialect.detect(path):
            return name
    looked_for = "; ".join(f"{name}: {dialect.LOOKED_FOR}" for name, dialect in DIALECTS.items())
    seen = sorted(p.name for p in path.iterdir())[:8] if path.is_dir() else ["one file"]
    raise CheckpointError(
        f"{path} is no checkpoint that dt-export knows. Looked for: {looked_for}. "
        f"Seen there: {', '.join(seen) or 'nothing'}"
    )


def _settle(facts: Facts, config: ModelConfig) -> tuple[Facts, tuple[str, ...], tuple[str, ...]]:
    notes = []
    if facts.context_length is None:
        facts = replace(facts, context_length=DEFAULT_CONTEXT_LENGTH)
        notes.append(f"assumed --context-length {DEFAULT_CONTEXT_LENGTH}")
    if facts.return_scale is None and not config.returns:
        facts = replace(facts, return_scale=1.0)
    if facts.return_scale is None:
        facts = replace(facts, return_scale=DEFAULT_RETURN_SCALE)
        notes.append(f"assumed --return-scale {DEFAULT_RETURN_SCALE:g}")
    if facts.first_timestep is None:
        facts = replace(facts, first_timestep=0)
    warnings = []
    if facts.state_mean is None and config.state_encoder != "frames":
        warnings.append(
            "no state statistics: observations are taken as they are (mean 0, std 1). A policy "
            "trained on normalised states will act wrongly; give them with --stats FILE"
        )
    return facts, tuple(notes), tuple(warnings)
