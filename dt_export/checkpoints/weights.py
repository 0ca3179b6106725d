"""From a checkpoint's tensor names to ours: one mapping, every shape checked, nothing left over."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from dt_export.errors import CheckpointError

Names = Mapping[str, str | tuple[str, ...]]  # ours -> theirs; several of theirs are stacked


def linear(ours: str, theirs: str | tuple[str, ...]) -> dict[str, str | tuple[str, ...]]:
    """The names of a weight and a bias; several of theirs are stacked along the outputs."""

    def named(kind: str) -> str | tuple[str, ...]:
        if isinstance(theirs, str):
            return f"{theirs}.{kind}"
        return tuple(f"{name}.{kind}" for name in theirs)

    return {f"{ours}.{kind}": named(kind) for kind in ("weight", "bias")}


def build(
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    names: Names,
    file: Path,
    *,
    dead: str = "",
    transposed: Collection[str] = (),
) -> nn.Module:
    """Fill ``model`` and put it in eval mode; ``names`` maps each of our parameters to the file's.

    Args:
        dead: a pattern of names that nobody reads: buffers and tables that stand idle.
        transposed: names of the file whose matrices are [in, out] and not [out, in].

    Raises:
        CheckpointError: a tensor is missing, left over, or not of the shape expected.
    """
    used = [name for theirs in names.values() for name in _several(theirs)]
    _refuse_missing(tensors, used, file)
    _refuse_leftovers(tensors, used, dead, file)
    parameters = model.state_dict()  # buffers too; its tensors are the model's own
    with torch.no_grad():
        for ours, theirs in names.items():
            parts, several = [], _several(theirs)
            expected = list(parameters[ours].shape)
            expected[0] //= len(several)
            for name in several:
                turn = -1 if name in transposed else 1
                if list(tensors[name].shape) != expected[::turn]:
                    raise CheckpointError(
                        f"{file}: {name} has shape {list(tensors[name].shape)}, expected "
                        f"{expected[::turn]} from the configuration"
                    )
                parts.append(tensors[name].T if turn == -1 else tensors[name])
            parameters[ours].copy_(torch.cat(parts))
    return model.eval()


def size(tensors: Mapping[str, Tensor], name: str, axis: int, file: Path) -> int:
    """The length of an axis of a tensor that must be there."""
    _refuse_missing(tensors, [name], file)
    if tensors[name].ndim <= axis:
        raise CheckpointError(f"{file}: {name} has shape {list(tensors[name].shape)}: too few axes")
    return tensors[name].shape[axis]


def count(tensors: Mapping[str, Tensor], pattern: str) -> int:
    """How many layers there are: one more than the largest number in names like ``pattern``."""
    found = (re.match(pattern, name) for name in tensors)
    return 1 + max((int(match[1]) for match in found if match), default=-1)


def _several(theirs: str | tuple[str, ...]) -> tuple[str, ...]:
    return (theirs,) if isinstance(theirs, str) else theirs


def _refuse_missing(tensors: Mapping[str, Tensor], names: Collection[str], file: Path) -> None:
    missing = [name for name in names if name not in tensors]
    if missing:
        raise CheckpointError(
            f"{file} lacks {len(missing)} of {len(names)} tensors, first {missing[0]!r}; "
            "is it another kind of model?"
        )


def _refuse_leftovers(
    tensors: Mapping[str, Tensor], used: Collection[str], dead: str, file: Path
) -> None:
    known = set(used)
    left = [name for name in tensors if name not in known and not re.fullmatch(dead, name)]
    if left:
        shown = ", ".join(left[:5]) + (", ..." if len(left) > 5 else "")
        raise CheckpointError(
            f"{file} holds {len(left)} tensors that a Decision Transformer of this dialect does "
            f"not have: {shown}"
        )
