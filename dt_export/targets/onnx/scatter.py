"""Cache writes as one ScatterND, which ONNX Runtime does in place.

PyTorch's own ``index_put`` takes the indices of each axis apart, and its translation puts them
together again at every run. So while a graph is traced for ONNX, its ``CacheWrite`` modules are
replaced by ones that call an operator of ours, which has a translation of its own.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from onnxscript import opset18
from torch import Tensor, nn

from dt_export.graphs.cache import CacheWrite


@torch.library.custom_op("dt_export::write", mutates_args=())
def _write(cache: Tensor, indices: Tensor, new: Tensor) -> Tensor:
    return torch.index_put(cache, indices.unbind(1), new)


@_write.register_fake
def _(cache: Tensor, indices: Tensor, new: Tensor) -> Tensor:
    return torch.empty_like(cache)


class ScatterWrite(nn.Module):
    """What ``CacheWrite`` does, as an operator that the exporter keeps whole."""

    def forward(self, cache: Tensor, indices: Tensor, new: Tensor) -> Tensor:
        written: Tensor = torch.ops.dt_export.write(cache, indices, new)
        return written


def _translated(cache: Any, indices: Any, new: Any) -> Any:
    return opset18.ScatterND(cache, indices, new)


TRANSLATION: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.dt_export.write.default: _translated
}


@contextmanager
def in_place(module: nn.Module) -> Iterator[None]:
    """Have every cache write of a module traced as ScatterND, until the body is left."""
    found = {name: part for name, part in module.named_modules() if isinstance(part, CacheWrite)}
    for name in found:
        module.set_submodule(name, ScatterWrite())
    try:
        yield
    finally:
        for name, part in found.items():
            module.set_submodule(name, part)
