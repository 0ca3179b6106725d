"""Checkpoints: finding them, reading them without executing anything, and what is known of them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dt_export.checkpoints.checkpoint import Checkpoint
    from dt_export.checkpoints.loading import DIALECTS, load
    from dt_export.facts import Facts, Overrides

__all__ = ["DIALECTS", "Checkpoint", "Facts", "Overrides", "load"]


def __getattr__(name: str) -> Any:
    """Names that need PyTorch are imported on first use: presets must be quick to list."""
    from importlib import import_module

    homes = {
        "Checkpoint": "dt_export.checkpoints.checkpoint",
        "DIALECTS": "dt_export.checkpoints.loading",
        "Facts": "dt_export.facts",
        "Overrides": "dt_export.facts",
        "load": "dt_export.checkpoints.loading",
    }
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(homes[name]), name)
