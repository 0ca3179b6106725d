"""From a checkpoint to a file: trace, write, prove equal, and only then give it its name."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dt_export import graphs, validation
from dt_export.backbone import GRAPH, Backbone
from dt_export.checkpoints import Checkpoint
from dt_export.errors import CheckError, UsageError
from dt_export.targets import TARGETS, Artifact, onnx
from dt_export.targets.artifact import contract_of
from dt_export.validation import Report


class ValidationFailedError(CheckError):
    """The export is not equal to eager PyTorch; nothing was written. ``report`` says where."""

    def __init__(self, report: Report):
        super().__init__("the exported graph is not equal to eager PyTorch, nothing was written")
        self.report = report


def export(
    checkpoint: Checkpoint,
    target: str = "onnx",
    path: Path | None = None,
    *,
    graph: str = "policy",
    outputs: tuple[str, ...] = (),
    sample: bool = False,
    opset: int = onnx.DEFAULT_OPSET,
    validate: bool = True,
    on_case: Callable[[int, int], None] | None = None,
) -> tuple[Artifact, Report | None]:
    """Export a checkpoint.

    Args:
        path: where to; without it, ``<name>.onnx`` or ``<name>_<graph>.onnx`` in this folder.
        outputs: of a sequence graph; none for state, action and return predictions.
        sample: put out ``mu`` and ``log_std`` of a stochastic policy too.
        validate: compare with eager PyTorch before the file gets its name. The inputs are drawn
            from a seed made of the weights, so that the same export gives the same bytes.

    Raises:
        UsageError: a graph, output, opset or folder that does not exist.
        ValidationFailedError: not equal; no file is left behind.
    """
    writer = TARGETS[target]
    path = path or default_path(checkpoint, target, graph)
    if path.suffix != writer.SUFFIX:
        raise UsageError(f"--output {path}: expected a file ending in {writer.SUFFIX}")
    if (graph == GRAPH) != isinstance(checkpoint.model, Backbone):
        raise UsageError(f"--graph {graph}: load the checkpoint with backbone={graph == GRAPH}")
    names = graphs.output_names(checkpoint.model.config, graph, outputs, sample)
    module = graphs.build(checkpoint, graph, names)
    with _atomic(path) as temporary:
        if target == "onnx":
            contract = contract_of(checkpoint, graph, names, {"target": target, "opset": opset})
            traced = onnx.trace(module, contract, opset)
        else:
            contract = contract_of(checkpoint, graph, names, {"target": target})
            traced = writer.trace(module, contract)
        writer.write(traced, contract, temporary)
        report = None
        if validate:
            seed = int(checkpoint.source.sha256[:8], 16)
            opened = writer.read(temporary)
            report = validation.check(opened, checkpoint, seed=seed, on_case=on_case)
            if not report.passed:
                raise ValidationFailedError(report)
            contract = replace(contract, validation=report.validation())
            writer.write(traced, contract, temporary)
    return Artifact(path, contract, path.stat().st_size), report


def default_path(checkpoint: Checkpoint, target: str, graph: str) -> Path:
    name = checkpoint.name if graph == "policy" else f"{checkpoint.name}_{graph}"
    return Path(f"{name}{TARGETS[target].SUFFIX}")


@contextmanager
def _atomic(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that becomes ``path`` if all goes well, else vanishes."""
    if path.is_dir():
        raise UsageError(f"--output {path} is a folder, expected a file")
    if not path.parent.is_dir():
        raise UsageError(f"--output {path}: the folder {path.parent} does not exist")
    try:
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent
        )
    except OSError as error:
        raise UsageError(f"--output {path}: cannot write there: {error.strerror}") from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files for the owner alone
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
