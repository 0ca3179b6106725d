"""Export Decision Transformers to ONNX and TorchScript, proven equal to PyTorch.

``load`` a checkpoint, ``export`` it and ``validate`` the file. Run it with ``dt_runtime``, which
does not need this package.
"""

from typing import TYPE_CHECKING, Any

from dt_export.version import __version__

if TYPE_CHECKING:
    from dt_export.checkpoints.checkpoint import Checkpoint
    from dt_export.checkpoints.loading import load
    from dt_export.errors import CheckError, CheckpointError, UsageError
    from dt_export.exporting import ValidationFailedError, export
    from dt_export.facts import Overrides
    from dt_export.targets.artifact import Artifact
    from dt_export.validating import validate
    from dt_export.validation.report import Report

__all__ = [
    "Artifact",
    "CheckError",
    "Checkpoint",
    "CheckpointError",
    "Overrides",
    "Report",
    "UsageError",
    "ValidationFailedError",
    "__version__",
    "export",
    "load",
    "validate",
]

_HOMES = {
    "Artifact": "dt_export.targets.artifact",
    "CheckError": "dt_export.errors",
    "Checkpoint": "dt_export.checkpoints.checkpoint",
    "CheckpointError": "dt_export.errors",
    "Overrides": "dt_export.facts",
    "Report": "dt_export.validation.report",
    "UsageError": "dt_export.errors",
    "ValidationFailedError": "dt_export.exporting",
    "export": "dt_export.exporting",
    "load": "dt_export.checkpoints.loading",
    "validate": "dt_export.validating",
}


def __getattr__(name: str) -> Any:
    """PyTorch is imported when something that needs it is asked for, so that `--help` is quick."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
