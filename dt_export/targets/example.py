"""Inputs to trace a graph with."""

import torch
from dt_runtime.contract import Contract

from dt_export.graphs import graph_of


def example_inputs(contract: Contract) -> tuple[torch.Tensor, ...]:
    """Small inputs of the right dtypes and shapes; axes that are fixed have their own size."""
    sizes, tensors = graph_of(contract).example, []
    for spec in contract.inputs:
        make = torch.ones if spec.name == "attention_mask" else torch.zeros
        tensors.append(make(spec.sized(sizes), dtype=getattr(torch, spec.dtype)))
    return tuple(tensors)
