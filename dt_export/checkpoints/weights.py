"""From a checkpoint's tensor names to ours: one mapping, every shape checked, nothing left over."""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from dt_export.errors import CheckpointError


def assign(
    model: nn.Module,
    weights: Mapping[str, Tensor],
    names: Mapping[str, str],
    file: Path,
    transposed: Collection[str] = (),
) -> None:
    """Copy tensors into ``model``; ``names`` maps each of our parameters to the file's name.

    ``transposed`` are names of the file whose matrices are [in, out] and not [out, in].

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
            seen, turn = weights[theirs], -1 if theirs in transposed else 1
            expected = parameters[ours].shape[::turn]
            if seen.shape != expected:
                raise CheckpointError(
                    f"{file}: {theirs} has shape {list(seen.shape)}, expected {list(expected)} "
                    "from the configuration"
                )
            parameters[ours].copy_(seen.T if turn == -1 else seen)


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
