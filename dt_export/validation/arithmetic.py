"""Eager PyTorch in other arithmetics: what exact numbers give, and what a smaller precision costs.

``float64`` stands for exact arithmetic. The smaller precisions are simulated from the checkpoint's
own weights: the inputs and weights of each product in the layers are rounded, as an artifact in
that precision rounds them, and sums stay in float32. Embeddings and head are never rounded.
"""

import copy
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from dt_export.models.backbone import Backbone
from dt_export.models.decision_transformer import Block, DecisionTransformer

ARITHMETICS = ("float64", "fp32", "fp16", "bf16", "int8")
LARGEST_HALF = 65504.0
LEVELS = 127  # of a symmetric int8
BYTES = 255  # of an asymmetric uint8
AnyModel = TypeVar("AnyModel", bound=DecisionTransformer | Backbone)


def in_arithmetic(model: AnyModel, arithmetic: str) -> AnyModel:
    """The model itself for ``fp32``, else a copy that computes otherwise."""
    if arithmetic == "fp32":
        return model
    copied: AnyModel = copy.deepcopy(model)
    if arithmetic == "float64":
        copied.double()
        return copied
    for block in cast(list[Block], list(copied.blocks)):
        for part in block.modules():
            if isinstance(part, nn.Linear):
                part.weight.data = _weight(part.weight.data, arithmetic)
                part.register_forward_pre_hook(_Rounded(arithmetic))
            elif isinstance(part, nn.LayerNorm) and arithmetic == "fp16":
                part.register_forward_pre_hook(_Rounded(arithmetic))
    return copied


class _Rounded:
    """A hook that rounds what goes into a layer."""

    def __init__(self, arithmetic: str):
        self.arithmetic = arithmetic

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        x, *others = inputs
        return (_bytes(x) if self.arithmetic == "int8" else _float(x, self.arithmetic), *others)


def _weight(weight: Tensor, arithmetic: str) -> Tensor:
    """Symmetric int8, one scale a matrix; or the nearest number of 16 bits."""
    if arithmetic != "int8":
        return _float(weight, arithmetic)
    scale = weight.abs().max().clamp(min=torch.finfo(weight.dtype).tiny) / LEVELS
    return (weight / scale).round() * scale


def _bytes(x: Tensor) -> Tensor:
    """Asymmetric uint8, one scale for all, as ONNX Runtime does it at each run."""
    low, high = x.min().clamp(max=0.0), x.max().clamp(min=0.0)
    scale = (high - low).clamp(min=torch.finfo(x.dtype).tiny) / BYTES
    return ((x - low) / scale).round() * scale + low


def _float(x: Tensor, arithmetic: str) -> Tensor:
    """The nearest number of 16 bits; beyond float16 it stays: overflow is no rounding."""
    if arithmetic == "bf16":
        return x.bfloat16().to(x.dtype)
    return torch.where(x.abs() <= LARGEST_HALF, x.half().to(x.dtype), x)
