"""A TorchScript file in PyTorch."""

from typing import Any

import torch


def first_action(given: dict[str, Any]) -> None:
    """``given``: path, inputs in order as (shape, dtype), threads."""
    torch.set_num_threads(given["threads"])
    module = torch.jit.load(given["path"])
    inputs = [torch.ones(shape, dtype=getattr(torch, dtype)) for shape, dtype in given["inputs"]]
    with torch.no_grad():
        module(*inputs)
