"""From a checkpoint's tensor names to ours: one mapping, every shape checked, nothing left over."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from dt_export.errors import CheckpointError


def assign(
    model: nn.Module, weights: Mapping[str, Tensor], names: Mapping[str, str], file: Path
) -> None:
    """Copy tensors into ``model``; ``names`` maps each of our parameters to the file's name.

    Raises:
        CheckpointError: a tensor is missing or its shape is not the one expected.
    """
    missing = [theirs for theirs in names.values() if theirs not in weights]
    if missing:
        raise CheckpointError(
            f"{file} lacks {len(missing)} of {len(names)} tensors, first {missing[0]!r}; "
            "is it another kind of model?"
        )
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for ours, theirs in names.items():
            expected, seen = tuple(parameters[ours].shape), tuple(weights[theirs].shape)
            if expected != seen:
                raise CheckpointError(
                    f"{file}: {theirs} has shape {list(seen)}, expected {list(expected)} "
                    "from the configuration"
                )
            parameters[ours].copy_(weights[theirs])


def refuse_leftovers(
    weights: Mapping[str, Tensor], used: Iterable[str], known: str, file: Path
) -> None:
    """Tensors that nobody read are refused, save those whose names match the pattern ``known``."""
    left = [name for name in weights if name not in set(used) and not re.fullmatch(known, name)]
    if left:
        shown = ", ".join(left[:5]) + (", ..." if len(left) > 5 else "")
        raise CheckpointError(
            f"{file} holds {len(left)} tensors that a Decision Transformer does not have: {shown}"
        )
