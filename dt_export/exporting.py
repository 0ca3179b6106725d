"""From a checkpoint to a file: trace, write, prove equal, and only then give it its name."""

import os
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from dt_runtime import Contract, slots

from dt_export import graphs, validation
from dt_export.checkpoints import Checkpoint
from dt_export.errors import CheckError, UsageError
from dt_export.evaluation.running import make_environment
from dt_export.files.ours import is_artifact, is_listing
from dt_export.files.writing import Output, atomic, files_at
from dt_export.graphs import step
from dt_export.graphs.backbone import GRAPH
from dt_export.models.backbone import Backbone
from dt_export.process import interrupts
from dt_export.targets import TARGETS, Artifact, Opened
from dt_export.targets.artifact import contract_of
from dt_export.targets.onnx import file as onnx
from dt_export.targets.onnx import ort
from dt_export.validation import Report, closed_loop


class ValidationFailedError(CheckError):
    """The export does not do what the checkpoint does; nothing was written. ``report`` says where.

    Either it is not equal to eager PyTorch, or a smaller precision earns another return.
    """

    def __init__(self, report: Report):
        message = "the exported graph is not equal to eager PyTorch, nothing was written"
        loop = report.closed_loop
        if report.equal and loop is not None:
            message = (
                f"{report.contract.precision} earns a mean return of {loop.mean:.1f} in "
                f"{loop.environment}, fp32 {loop.expected_mean:.1f}: {abs(loop.change):.1%} apart, "
                f"allowed {loop.limit:.0%}; nothing was written. Export with --precision fp32"
            )
        super().__init__(message)
        self.report = report


@dataclass(frozen=True)
class Options:
    """What an export can be told beside where it goes.

    ``static_batch`` and ``static_length`` are sizes that the file fixes, for engines that need it:
    environments at once, and timesteps of every window (shorter ones are padded on the left). A
    step graph has ``static_length`` as its context length, and with ``static_batch`` its default
    number of slots. ``episodes`` are played by fp16 and int8 against fp32 where the environment is
    known and installed; 0 for none. ``environment`` is the one that the user names. Without it, it
    is the checkpoint's, of which no module is imported: a file may name any.
    """

    graph: str = "policy"
    outputs: tuple[str, ...] = ()  # of a sequence graph; none for all predictions
    sample: bool = False  # put out mu and log_std of a stochastic policy too
    opset: int = onnx.DEFAULT_OPSET
    precision: str = "fp32"
    format: str = "onnx"  # or ort: ONNX Runtime's own, with a list of its operators beside it
    static_batch: int | None = None
    static_length: int | None = None
    validate: bool = True
    episodes: int = closed_loop.EPISODES
    environment: str | None = None


def export(
    checkpoint: Checkpoint,
    target: str = "onnx",
    path: Path | None = None,
    *,
    on_case: Callable[[int, int], None] | None = None,
    force: bool = False,
    inputs: Iterable[Path] = (),
    **options: Any,
) -> tuple[Artifact, Report | None]:
    """Export a checkpoint.

    Validation compares with eager PyTorch before the file gets its name. Its inputs are drawn from
    a seed made of the weights, so that the same export gives the same bytes.

    Args:
        path: where to; without it, ``<name>.onnx`` in this folder, graph and precision in its name
            where they are not the usual ones.
        on_case: called with (done, in all) while it validates.
        force: replace a file that dt-export did not write. The checkpoint's own never is.
        inputs: further files that are not to be replaced.
        options: the fields of ``Options``.

    Raises:
        UsageError: a graph, output, opset, size or folder that does not exist, or a path that may
            not be written.
        ValidationFailedError: not equal; no file is left behind.
        CheckError: the episodes of a smaller precision could not be played to their end.
    """
    wanted = Options(**options)
    _check(checkpoint, target, wanted)
    writer = TARGETS[target]
    suffix = ort.SUFFIX if wanted.format == "ort" else writer.SUFFIX
    path = path or default_path(checkpoint, suffix, wanted.graph, wanted.precision)
    if path.suffix != suffix:
        raise UsageError(f"--output {path}: expected a file ending in {suffix}")
    given = (*files_at(checkpoint.path), *inputs)
    output = Output(path, "--output", is_artifact, given, force)
    if wanted.format == "ort":
        replace(output, path=ort.list_path(path), ours=is_listing).check()
    checkpoint, sizes = _static(checkpoint, wanted)
    with atomic(output, writer.SUFFIX) as temporary:
        traced, contract = _trace(checkpoint, target, wanted, sizes, wanted.precision)
        writer.write(traced, contract, temporary)
        report = None
        if wanted.validate:
            seed = int(checkpoint.source.sha256[:8], 16)
            opened = _opened(temporary, wanted, writer)
            report = validation.check(
                opened, checkpoint, seed=seed, precision=wanted.precision, on_case=on_case
            )
            if report.passed and wanted.precision != "fp32" and wanted.episodes:
                report = _play(report, opened, checkpoint, wanted, sizes, on_case)
            if not report.passed:
                raise ValidationFailedError(report)
            contract = replace(contract, validation=report.validation())
            writer.write(traced, contract, temporary)
        if wanted.format == "ort":
            ort.convert(temporary, path, force=force, inputs=given)
            temporary.unlink()
    beside = ort.list_path(path) if wanted.format == "ort" else None
    return Artifact(path, contract, path.stat().st_size, beside), report


def _opened(written: Path, wanted: Options, writer: ModuleType) -> Opened:
    """What is to be validated: the file itself, or what it becomes in ORT format."""
    if wanted.format == "onnx":
        return writer.read(written)
    with interrupts.temporary_folder() as folder:
        path = folder / f"validated{ort.SUFFIX}"
        ort.save(written, path)
        return onnx.read(path)


def _check(checkpoint: Checkpoint, target: str, wanted: Options) -> None:
    """Combinations that do not exist."""
    graph, precision = wanted.graph, wanted.precision
    if (graph == GRAPH) != isinstance(checkpoint.model, Backbone):
        raise UsageError(f"--graph {graph}: load the checkpoint with backbone={graph == GRAPH}")
    if precision not in graphs.PRECISIONS:
        known = ", ".join(graphs.PRECISIONS)
        raise UsageError(f"--precision is {precision!r}, expected one of {known}")
    if precision != "fp32" and (target != "onnx" or graph not in ("policy", "step")):
        raise UsageError(
            f"--precision {precision} is made of ONNX files of graph policy or step, "
            f"not of {target} {graph}"
        )
    if wanted.format not in ("onnx", "ort"):
        raise UsageError(f"--format is {wanted.format!r}, expected onnx or ort")
    if wanted.format == "ort" and target != "onnx":
        raise UsageError(f"--format ort is made of ONNX files, not of {target}")
    sizes = {"--static-batch": wanted.static_batch, "--static-length": wanted.static_length}
    for flag, size in sizes.items():
        if size is None:
            continue
        if graph == GRAPH:
            raise UsageError(f"{flag} belongs to --graph policy, step or sequence, not to {graph}")
        if size < 1:
            raise UsageError(f"{flag} is {size}, expected at least 1")
    context = getattr(checkpoint.facts, "context_length", 0)
    if wanted.static_length is not None and wanted.static_length > context:
        raise UsageError(
            f"--static-length is {wanted.static_length}, expected at most K, which is {context}"
        )
    if wanted.static_batch is not None:
        _check_memory(checkpoint, graph, wanted.static_batch, wanted.static_length or context)


def _check_memory(checkpoint: Checkpoint, graph: str, batch: int, context: int) -> None:
    """Refuse a batch that this machine could not even trace.

    Counted is what one layer holds at a time, which is a lower bound.
    """
    config = checkpoint.model.config
    length = config.tokens_per_step * context
    if graph == step.GRAPH:
        floats = min(slots.DEFAULT, context) * length * 2 * config.hidden_size * config.n_layer
    else:
        floats = length * (4 * config.hidden_size + config.n_inner)
        floats += config.n_head * length * length
    needed, there = 4 * batch * floats, _memory()
    if there is not None and needed > there:
        raise UsageError(
            f"--static-batch is {batch}: a batch of that size takes {needed / 2**30:.3g} GiB or "
            f"more, and this machine has {there / 2**30:.3g} GiB of memory"
        )


def _memory() -> int | None:
    """Bytes of memory in this machine; None where it does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _static(checkpoint: Checkpoint, wanted: Options) -> tuple[Checkpoint, dict[str, int]]:
    """The checkpoint with its context as long as the file's windows, and the fixed axes."""
    sizes: dict[str, int] = {}
    if wanted.static_length is not None:
        checkpoint = checkpoint.with_context_length(wanted.static_length)
        sizes[graphs.SEQUENCE] = wanted.static_length
    if wanted.static_batch is not None:
        sizes[graphs.BATCH] = wanted.static_batch
        sizes[step.SLOTS] = min(slots.DEFAULT, checkpoint.facts.context_length)
    return checkpoint, sizes


def _trace(
    checkpoint: Checkpoint, target: str, wanted: Options, sizes: dict[str, int], precision: str
) -> tuple[Any, Contract]:
    graph = wanted.graph
    names = graphs.output_names(checkpoint.model.config, graph, wanted.outputs, wanted.sample)
    module = graphs.build(checkpoint, graph, names, precision)
    producer = {"target": target}
    if target == "onnx":
        producer["opset"] = wanted.opset
    contract = contract_of(checkpoint, graph, names, producer, precision, sizes)
    if target == "onnx":
        return onnx.trace(module, contract, wanted.opset), contract
    return TARGETS[target].trace(module, contract), contract


def _play(
    report: Report,
    opened: Opened,
    checkpoint: Checkpoint,
    wanted: Options,
    sizes: dict[str, int],
    on_case: Callable[[int, int], None] | None,
) -> Report:
    """The report with the returns of both precisions, or with why there are none."""
    environment = wanted.environment or checkpoint.facts.environment
    if environment is None or not checkpoint.facts.target_returns:
        what = "environment" if environment is None else "target return"
        return replace(
            report, not_played=f"the checkpoint names no {what} (--env, --target-return)"
        )
    if opened.contract.batch_size not in (None, 1):
        return replace(report, not_played="the file has a batch of its own")
    try:
        env = make_environment(wanted.environment, environment)
    except UsageError as error:
        if wanted.environment is not None:  # the user asked for this one
            raise
        return replace(report, not_played=str(error))
    with closing(env), interrupts.temporary_folder() as folder:
        path = folder / f"fp32{onnx.SUFFIX}"
        onnx.write(*_trace(checkpoint, "onnx", wanted, sizes, "fp32"), path)
        played = closed_loop.compare(
            opened.engine, onnx.read(path).engine, env, environment, None, wanted.episodes, on_case
        )
    return replace(report, closed_loop=played)


def default_path(checkpoint: Checkpoint, suffix: str, graph: str, precision: str = "fp32") -> Path:
    """The name says what is not usual: ``hopper.onnx``, ``hopper_step_int8.onnx``."""
    parts = [checkpoint.name]
    parts += [graph] if graph != "policy" else []
    parts += [precision] if precision != "fp32" else []
    return Path(f"{'_'.join(parts)}{suffix}")
