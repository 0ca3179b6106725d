"""From a checkpoint to a file: trace, write, prove equal, and only then give it its name."""

import os
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from dt_runtime.contract import Contract

from dt_export.checkpoints.checkpoint import Checkpoint
from dt_export.errors import CheckError, UsageError
from dt_export.evaluation.environment import make_environment
from dt_export.files.writing import Output, files_at, together
from dt_export.graphs import Kind, graph_named
from dt_export.options import Options
from dt_export.process import interrupts
from dt_export.targets import TARGETS, Artifact, Opened, Target
from dt_export.targets.contract import contract_of
from dt_export.targets.target import Written
from dt_export.validation import Report, check, episodes
from dt_export.validation.closed_loop import ClosedLoop
from dt_export.validation.diagnosis import diagnose
from dt_export.validation.golden import record

OnCase = Callable[[int, int], None]


class ValidationFailedError(CheckError):
    """The export differs from its checkpoint, and nothing was written. ``report`` has the details.

    Either it is not equal to eager PyTorch, or a smaller precision earns a different return.
    """

    def __init__(self, report: Report):
        message = "the exported graph is not equal to eager PyTorch, nothing was written"
        loop = report.closed_loop
        if report.equal and loop is not None:
            message = _refused(report.contract.precision, loop)
        message = "; likely: ".join((message, *diagnose(report)))
        super().__init__(message)
        self.report = report


def export(
    checkpoint: Checkpoint,
    target: str = "onnx",
    path: Path | None = None,
    *,
    on_case: OnCase | None = None,
    force: bool = False,
    inputs: Iterable[Path] = (),
    **options: Any,
) -> tuple[Artifact, Report | None]:
    """Export a checkpoint.

    Validation compares the file with eager PyTorch before it gets its name. The seed of the inputs
    is computed from the weights, so that the same export gives the same bytes.

    Args:
        checkpoint: what ``load`` returned.
        target: ``onnx``, ``torchscript`` or ``c``.
        path: where to write. By default ``<name>.onnx`` in the current folder, with the graph and
            the precision in its name if they are not the defaults.
        on_case: called with (cases done, cases in all) during validation.
        force: replace a file that dt-export did not write. The checkpoint's own files are never
            replaced.
        inputs: further files that must not be replaced.
        options: fields of ``Options``, such as ``graph="step"``, and of the target's own table:
            ``OnnxOptions`` or ``COptions``.

    Returns:
        The artifact and the report of its validation. With ``validate=False`` the report is None.

    Raises:
        UsageError: a graph, output, option or folder does not exist, or the path cannot be
            written.
        ValidationFailedError: the file is not equal to the checkpoint; no file is left behind.
        CheckError: the episodes of a smaller precision could not be completed.
    """
    to, wanted = _target(target), _options(target, options)
    kind = graph_named(wanted.graph)
    check_options(checkpoint, to, kind, wanted)
    suffix = to.suffix(wanted)
    path = path or default_path(checkpoint, suffix, wanted)
    if path.suffix != suffix:
        raise UsageError(f"--output {path}: expected a file ending in {suffix}")
    given = (*files_at(checkpoint.path), *inputs)
    companions = to.companions(path, wanted)
    outputs = [
        Output(file.path, "--output", file.ours, given, force)
        for file in (Written(path, "the artifact"), *companions)
    ]
    if wanted.static_length is not None:
        checkpoint = checkpoint.with_context_length(wanted.static_length)
    wanted = to.settle(checkpoint, wanted)
    sizes = to.sizes(wanted, checkpoint.facts.context_length or 1)
    with together(outputs) as folder:
        temporary, report = folder / path.name, None
        traced, contract = _trace(checkpoint, to, kind, wanted, sizes)
        to.write(traced, contract, temporary)
        if wanted.validate:
            report = _validated(to, temporary, checkpoint, kind, wanted, sizes, on_case)
            contract = replace(contract, validation=report.validation())
            to.write(traced, contract, temporary)
        episode = partial(record, checkpoint, contract) if wanted.validate else None
        said = to.finish(temporary, contract, wanted, episode)
    beside = {file.path: said.get(file.path.name, file.what) for file in companions}
    return Artifact(path, contract, path.stat().st_size, beside), report


def check_options(checkpoint: Checkpoint, target: Target, kind: Kind, options: Options) -> None:
    """Raise UsageError for a combination that does not exist, or does not fit the checkpoint."""
    kind.check_model(checkpoint.model)
    options.check()
    target.check(kind, options.precision)
    sizes = {"--static-batch": options.static_batch, "--static-length": options.static_length}
    for flag, size in sizes.items():
        if size is not None and kind.floats is None:
            raise UsageError(f"{flag} does not apply to --graph {kind.name}")
    context = checkpoint.facts.context_length or 0
    if options.static_length is not None and options.static_length > context:
        raise UsageError(
            f"--static-length is {options.static_length}, expected at most K, which is {context}"
        )
    if options.static_batch is not None:
        length = options.static_length or context
        check_memory(checkpoint, kind, options.static_batch, length, "--static-batch")


def check_memory(
    checkpoint: Checkpoint, kind: Kind, batch: int, context_length: int, flag: str
) -> None:
    """Raise UsageError for a batch that this machine could not even trace.

    Counted is what one layer holds at a time, which is a lower bound.
    """
    floats = kind.floats(checkpoint.model.config, context_length) if kind.floats else 0
    needed, there = 4 * batch * floats, _memory()
    if there is not None and needed > there:
        raise UsageError(
            f"{flag} is {batch}: a batch of that size takes {needed / 2**30:.3g} GiB or "
            f"more, and this machine has {there / 2**30:.3g} GiB of memory"
        )


def default_path(checkpoint: Checkpoint, suffix: str, options: Options) -> Path:
    """The name says what is not the default: ``hopper.onnx``, ``hopper_step_int8.onnx``."""
    parts = [checkpoint.name]
    parts += [options.graph] if options.graph != type(options).graph else []
    parts += [options.precision] if options.precision != type(options).precision else []
    return Path(f"{'_'.join(parts)}{suffix}")


def _refused(precision: str, loop: ClosedLoop) -> str:
    """Why a smaller precision is not written, and what to do."""
    (found,) = loop.outcomes
    if loop.problems:
        first, count = loop.problems[0], len(loop.problems)
        more = f" ({count} of {found.episodes} episodes failed)" if count > 1 else ""
        return (
            f"{precision} could not be played in {loop.environment}, seed {first.seed}: "
            f"{first.problem}{more}; nothing was written"
        )
    allowed = f"{loop.allowed:.0%} of the return" if loop.relative else f"{loop.allowed:g}"
    earned = (
        f"{precision} earns a mean return of {found.seen:.1f} in {loop.environment}, fp32 "
        f"{found.expected:.1f}: {found.difference:+.1f} ({found.low:+.1f} to {found.high:+.1f} "
        f"with {found.confidence:.1%} confidence), allowed {found.margin:.1f} ({allowed})"
    )
    if found.verdict == "failed":
        return f"{earned}; nothing was written. Export with --precision fp32"
    enough = "" if found.needed is None else f", about {found.needed} would settle it"
    count = found.needed or 4 * found.episodes
    return (
        f"{earned}: {found.episodes} episodes do not settle it{enough}; nothing was written. "
        f"Export with --episodes {count}, with --precision fp32, or with --episodes 0 to skip this "
        "check"
    )


def _target(name: str) -> Target:
    if name not in TARGETS:
        raise UsageError(f"the target is {name!r}, expected one of {', '.join(TARGETS)}")
    return TARGETS[name]


def _options(target: str, given: dict[str, Any]) -> Options:
    kind = _target(target).options
    known = {field.name for field in fields(kind)}
    for name in given:
        if name not in known:
            raise UsageError(
                f"{name} is not an option of target {target}, expected some of "
                f"{', '.join(sorted(known))}"
            )
    return kind(**given)


def _memory() -> int | None:
    """Bytes of memory in this machine; None where it does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _trace(
    checkpoint: Checkpoint, target: Target, kind: Kind, wanted: Options, sizes: dict[str, int]
) -> tuple[Any, Contract]:
    config = checkpoint.model.config
    names = kind.output_names(config, wanted.outputs, wanted.sample)
    module = kind.module(checkpoint, names, wanted.precision)
    producer = {"target": target.name, **target.producer(wanted)}
    contract = contract_of(checkpoint, kind, names, producer, wanted.precision, sizes)
    return target.trace(module, contract, wanted), contract


def _validated(
    target: Target,
    written: Path,
    checkpoint: Checkpoint,
    kind: Kind,
    wanted: Options,
    sizes: dict[str, int],
    on_case: OnCase | None,
) -> Report:
    """The report of a file that passes.

    Raises:
        ValidationFailedError: it does not.
    """
    seed = int((checkpoint.source.sha256 or "0")[:8], 16)
    opened = target.read(written, "cpu")
    report = check(opened, checkpoint, seed=seed, precision=wanted.precision, on_case=on_case)
    if report.passed and wanted.precision != "fp32" and wanted.episodes:
        report = _play(report, opened, checkpoint, target, kind, wanted, sizes, on_case)
    if not report.passed:
        raise ValidationFailedError(report)
    return report


def _play(
    report: Report,
    opened: Opened,
    checkpoint: Checkpoint,
    target: Target,
    kind: Kind,
    wanted: Options,
    sizes: dict[str, int],
    on_case: OnCase | None,
) -> Report:
    """The report with the returns of both precisions, or with why there are none.

    There are none if no environment or target return is known, the environment cannot be made
    (unless you named it), or the file was made for a batch. Whatever goes wrong later is a failure.
    """
    environment = wanted.environment or checkpoint.facts.environment
    if environment is None:
        return replace(report, not_played="the checkpoint names no environment: pass --env")
    conditioned = any(spec.name == "returns_to_go" for spec in opened.contract.inputs)
    if conditioned and not checkpoint.facts.target_returns:
        what = "the checkpoint names no target return: pass --target-return"
        return replace(report, not_played=what)
    if opened.contract.batch_size not in (None, 1):
        what = f"the file was made for a batch of {opened.contract.batch_size} (--static-batch)"
        return replace(report, not_played=f"{what}, and episodes are played one by one")
    try:
        env = make_environment(wanted.environment, environment)
    except UsageError as error:
        if wanted.environment is not None:  # the user asked for this one
            raise
        return replace(report, not_played=str(error))
    with closing(env), interrupts.temporary_folder() as folder:
        path = folder / f"fp32{target.suffix(wanted)}"
        target.write(
            *_trace(checkpoint, target, kind, replace(wanted, precision="fp32"), sizes), path
        )
        played = episodes.compare(
            opened.engine,
            target.read(path, "cpu").engine,
            env,
            environment,
            episodes=wanted.episodes,
            on_episode=on_case,
        )
    return replace(report, closed_loop=played)
