"""dt-export's own model of a checkpoint, in eager PyTorch."""

from pathlib import Path
from typing import Any

import torch

from dt_export import Overrides, load


def first_action(given: dict[str, Any]) -> None:
    """``given``: path, overrides, inputs by name as (shape, dtype), threads."""
    torch.set_num_threads(given["threads"])
    overrides = given["overrides"]
    if overrides["stats"] is not None:
        overrides["stats"] = Path(overrides["stats"])
    model = load(given["path"], Overrides(**overrides)).model
    inputs = {
        name: torch.ones(shape, dtype=getattr(torch, dtype))
        for name, (shape, dtype) in given["inputs"].items()
    }
    with torch.no_grad():
        model(**inputs)
