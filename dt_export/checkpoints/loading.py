"""Loading a checkpoint: detect its dialect, read it, and complete what is known of it."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Protocol, TypeGuard

from dt_runtime.contract import Source

from dt_export.checkpoints import fit, reading, sidecars
from dt_export.checkpoints.checkpoint import Checkpoint, Found
from dt_export.checkpoints.contents import Contents, read
from dt_export.checkpoints.dialects import atari, corl, d3rlpy, huggingface, kzl, min_dt, online_dt
from dt_export.checkpoints.locate import Located, locate
from dt_export.checkpoints.reading import shown
from dt_export.checkpoints.settings import ARCHITECTURE, contradict
from dt_export.errors import CheckpointError, UsageError
from dt_export.facts import DEFAULT_CONTEXT_LENGTH, DEFAULT_RETURN_SCALE, Facts, Overrides, Settled
from dt_export.models.decision_transformer import DecisionTransformer, ModelConfig


class Dialect(Protocol):
    """What the module of a dialect says of it."""

    @property
    def SIGNATURE(self) -> tuple[str, ...]: ...  # noqa: N802
    @property
    def LOOKED_FOR(self) -> str: ...  # noqa: N802
    @property
    def FLAGS(self) -> tuple[str, ...]: ...  # noqa: N802


class SingleFile(Dialect, Protocol):
    """A dialect whose weights are in one file, which is read before it is asked."""

    def detect(self, contents: Contents) -> bool: ...
    def load(self, contents: Contents, overrides: Overrides) -> Found[DecisionTransformer]: ...


DIALECTS: dict[str, Dialect] = {
    "huggingface": huggingface,
    "online-dt": online_dt,  # before kzl, whose tensors it has too
    "kzl": kzl,
    "corl": corl,
    "min-dt": min_dt,
    "d3rlpy": d3rlpy,
    "atari": atari,
}


def _is_single_file(dialect: Dialect) -> TypeGuard[SingleFile]:
    return dialect is not huggingface


def load(
    model: str,
    overrides: Overrides | None = None,
    fallback: Facts | None = None,
    backbone: bool = False,
) -> Checkpoint:
    """Load a checkpoint: a preset's name, a local path, or a Hugging Face id.

    Facts come from ``overrides`` (flags), then from files next to the weights, then from the
    preset, then from ``fallback``, then from defaults. The checkpoint's notes list the defaults.
    With ``backbone``, only the transformer is loaded (dialect ``huggingface``).

    Raises:
        CheckpointError: the checkpoint cannot be found, read or recognised.
        UsageError: a flag contradicts the checkpoint.
    """
    overrides = overrides or Overrides()
    flags = sidecars.from_flags(overrides)
    located = locate(model, overrides.revision)
    if backbone:
        return _backbone(located, overrides)
    dialect, found = _find(located.path, overrides)

    for field in ARCHITECTURE:  # also those that this dialect has no use for
        contradict(overrides, field, getattr(found.model.config, field), f"dialect {dialect}")
    if found.model.config.discrete and found.model.config.action_tanh:
        raise UsageError(f"discrete actions need logits, but {found.file} has action_tanh")
    beside = sidecars.beside(found.file.parent)
    facts = flags.over(beside).over(found.facts).over(located.facts)
    silent = {field.name for field in fields(facts) if getattr(facts, field.name) is None}
    facts = facts.over(fallback or Facts())
    borrowed = frozenset(name for name in silent if getattr(facts, name) is not None)
    config = found.model.config
    settled, notes, warnings = _settle(facts, config)
    fit.check(settled, config)
    return Checkpoint(
        name=located.name,
        path=located.path,
        dialect=dialect,
        model=found.model,
        facts=settled,
        source=Source(located.model, located.revision, reading.sha256(found.file)),
        notes=found.notes + notes,
        warnings=warnings,
        borrowed=borrowed,
    )


def _backbone(located: Located, overrides: Overrides) -> Checkpoint:
    if not huggingface.detect(located.path):
        raise CheckpointError(
            f"--graph backbone needs the dialect huggingface ({huggingface.LOOKED_FOR}): "
            f"{located.path} is something else"
        )
    found = huggingface.load_backbone(located.path, overrides)
    source = Source(located.model, located.revision, reading.sha256(found.file))
    facts = Settled(context_length=found.model.positions, return_scale=1.0, first_timestep=0)
    return Checkpoint(
        located.name, located.path, "huggingface", found.model, facts, source, found.notes
    )


def _find(path: Path, overrides: Overrides) -> tuple[str, Found[DecisionTransformer]]:
    """What the dialect that claims a path finds there.

    Raises:
        CheckpointError: none does; the message lists what was looked for and the nearest match.
    """
    if huggingface.detect(path):
        return "huggingface", huggingface.load(path, overrides)
    contents = read(path)
    for name, dialect in DIALECTS.items():
        if contents is None or not _is_single_file(dialect):
            continue
        if dialect.detect(contents):
            found = dialect.load(contents, overrides)
            return name, replace(found, notes=contents.notes + found.notes)
    raise CheckpointError(_nobody(path, contents))


def _nobody(path: Path, contents: Contents | None) -> str:
    looked_for = "; ".join(f"{name}: {dialect.LOOKED_FOR}" for name, dialect in DIALECTS.items())
    parts = [f"{path} is not a checkpoint that dt-export recognises. Looked for: {looked_for}."]
    if contents is None:
        with reading.damaged(path, "cannot be listed"):
            names = sorted(p.name for p in path.iterdir())[:8]
        parts.append(f"Seen there: {', '.join(names) or 'nothing'}.")
    elif contents.tensors:
        parts.append(
            f"Seen: {len(contents.tensors)} tensors, first {shown(next(iter(contents.tensors)))}."
        )
        scores = {
            name: sum(key in contents.tensors for key in dialect.SIGNATURE) / len(dialect.SIGNATURE)
            for name, dialect in DIALECTS.items()
        }
        nearest = max(scores, key=scores.__getitem__)
        if scores[nearest] > 0:
            missing = [k for k in DIALECTS[nearest].SIGNATURE if k not in contents.tensors]
            lacks = f"without {missing[0]}" if missing else "but config.json is missing"
            parts.append(f"Closest match: {nearest}, {lacks}.")
    else:
        parts.append(f"{contents.file.name} does not contain a state dict.")
    return " ".join(parts)


def _settle(facts: Facts, config: ModelConfig) -> tuple[Settled, tuple[str, ...], tuple[str, ...]]:
    notes = []
    if facts.context_length is None:
        notes.append(f"assumed --context-length {DEFAULT_CONTEXT_LENGTH}")
    if facts.return_scale is None and config.returns:
        notes.append(f"assumed --return-scale {DEFAULT_RETURN_SCALE:g}")
    scale = DEFAULT_RETURN_SCALE if config.returns else 1.0
    settled = facts.over(Settled(DEFAULT_CONTEXT_LENGTH, scale, first_timestep=0))
    warnings = []
    if settled.state_mean is None and not config.frames:
        warnings.append(
            "no state statistics: observations are taken as they are (mean 0, std 1). A policy "
            "trained on normalised states will act wrongly; give them with --stats FILE"
        )
    return settled, tuple(notes), tuple(warnings)
