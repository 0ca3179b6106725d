"""Inputs to trace a graph with, and which of their axes are free."""

import inspect
from typing import Any

import torch
from dt_runtime.contract import Contract
from torch import nn

from dt_export.graphs import graph_of
from dt_export.graphs.kind import BATCH, SEQUENCE


def example_inputs(contract: Contract) -> tuple[torch.Tensor, ...]:
    """Small inputs of the right dtypes and shapes; axes that are fixed have their own size."""
    sizes, tensors = graph_of(contract).example, []
    for spec in contract.inputs:
        make = torch.ones if spec.name == "attention_mask" else torch.zeros
        tensors.append(make(spec.sized(sizes), dtype=getattr(torch, spec.dtype)))
    return tuple(tensors)


def dynamic_shapes(module: nn.Module, contract: Contract) -> tuple[Any, ...]:
    """Which axes are free, one entry an input, as ``torch.export`` takes it.

    Axes with a name of their own keep it; sums are left to be found.
    """
    named = {name: torch.export.Dim(name) for name in (BATCH, SEQUENCE)}
    if graph_of(contract).derived_axes:
        named = {}
    axes = tuple(
        {
            index: named.get(axis, torch.export.Dim.AUTO)
            for index, axis in enumerate(spec.shape)
            if isinstance(axis, str)
        }
        for spec in contract.inputs
    )
    parameters = inspect.signature(module.forward).parameters.values()
    variadic = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters)
    return (axes,) if variadic else axes
