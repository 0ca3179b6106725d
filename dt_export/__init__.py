"""dt-export: Decision Transformers to ONNX and TorchScript, proven equal to PyTorch.

``load`` a checkpoint, ``export`` it, and run the file with ``dt_runtime``, which knows nothing of
this package.
"""

from typing import Any

from dt_export.version import __version__

__all__ = ["Overrides", "__version__", "export", "load"]


def __getattr__(name: str) -> Any:
    """PyTorch is imported when something that needs it is asked for, so that `--help` is quick."""
    if name == "load":
        from dt_export.checkpoints import load

        return load
    if name == "Overrides":
        from dt_export.facts import Overrides

        return Overrides
    if name == "export":
        from dt_export.exporting import export

        return export
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
