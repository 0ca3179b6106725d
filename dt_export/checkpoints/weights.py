"""From a checkpoint's tensor names to ours: one mapping, every shape checked, nothing left over."""

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from dt_export.checkpoints.reading import damaged
from dt_export.errors import CheckpointError

MOST_LAYERS = 512
Names = dict[str, str | tuple[str, ...]]  # ours -> theirs; several of theirs are stacked
Model = TypeVar("Model", bound=nn.Module)


def linear(ours: str, theirs: str | tuple[str, ...]) -> Names:
    """The names of a weight and a bias; several of theirs are stacked along the outputs."""

    def named(kind: str) -> str | tuple[str, ...]:
        if isinstance(theirs, str):
            return f"{theirs}.{kind}"
        return tuple(f"{name}.{kind}" for name in theirs)

    return {f"{ours}.{kind}": named(kind) for kind in ("weight", "bias")}


def build(
    make: Callable[[], Model],
    tensors: Mapping[str, Tensor],
    names: Names,
    file: Path,
    *,
    dead: str = "",
    transposed: Collection[str] = (),
) -> Model:
    """Make a model, fill it and put it in eval mode.

    Args:
        make: makes the model. It is first made without memory, and every shape is compared with the
            file's, so that no configuration can ask for more than the file has.
        names: each of our parameters to the file's.
        dead: a pattern of names that nobody reads: buffers and tables that stand idle.
        transposed: names of the file whose matrices are [in, out] and not [out, in].

    Raises:
        CheckpointError: a tensor is missing, left over, not of the shape expected, not of floats,
            or holds a NaN or an infinity.
    """
    used = [name for theirs in names.values() for name in _several(theirs)]
    _refuse_missing(tensors, used, file)
    _refuse_leftovers(tensors, used, dead, file)
    with damaged(file, "cannot have the sizes of its configuration"), torch.device("meta"):
        outline = make().state_dict()
    for ours, theirs in names.items():
        _refuse_shapes(outline[ours], tensors, _several(theirs), transposed, file)
    for name in dict.fromkeys(used):
        _refuse_numbers(tensors[name], name, file)
    model = make()
    parameters = model.state_dict()  # buffers too; its tensors are the model's own
    with torch.no_grad():
        for ours, theirs in names.items():
            parts = [
                tensors[name].T if name in transposed else tensors[name]
                for name in _several(theirs)
            ]
            parameters[ours].copy_(torch.cat(parts))
    return model.eval()


def _refuse_shapes(
    ours: Tensor,
    tensors: Mapping[str, Tensor],
    theirs: tuple[str, ...],
    transposed: Collection[str],
    file: Path,
) -> None:
    """Tensors of the file must fill one of ours, stacked along its first axis."""
    expected = list(ours.shape)
    expected[0] //= len(theirs)
    for name in theirs:
        due = expected[::-1] if name in transposed else expected
        if list(tensors[name].shape) != due:
            raise CheckpointError(
                f"{file}: {name} has shape {list(tensors[name].shape)}, expected {due} from the "
                "configuration"
            )


def _refuse_numbers(tensor: Tensor, name: str, file: Path) -> None:
    """Floats are converted where they are read; whatever else is left would be cast silently."""
    if tensor.dtype != torch.float32:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise CheckpointError(
            f"{file}: {name} is {kind}, expected floating-point weights: quantised and complex "
            "checkpoints are not read; save it in float32"
        )
    wrong = int((~torch.isfinite(tensor)).sum())
    if wrong:
        raise CheckpointError(
            f"{file}: {name} holds {wrong} of {tensor.numel()} numbers that are NaN, infinite or "
            "beyond float32: training diverged or the file is damaged; take an earlier checkpoint"
        )


def size(tensors: Mapping[str, Tensor], name: str, axis: int, file: Path) -> int:
    """The length of an axis of a tensor that must be there."""
    _refuse_missing(tensors, [name], file)
    shape = list(tensors[name].shape)
    if len(shape) <= axis or 0 in shape:
        what = "an axis of length 0" if 0 in shape else "too few axes"
        raise CheckpointError(f"{file}: {name} has shape {shape}: {what}")
    return shape[axis]


def of_shape(
    tensors: Mapping[str, Tensor], name: str, shape: tuple[int | None, ...], file: Path
) -> Tensor:
    """A tensor of floats that must be there, before anything is cut out of it.

    None stands for an axis of any length but 0.
    """
    _refuse_missing(tensors, [name], file)
    seen = tensors[name].shape
    fits = len(seen) == len(shape) and all(
        length == due if due is not None else length > 0
        for length, due in zip(seen, shape, strict=True)
    )
    if not fits:
        expected = ", ".join("any" if axis is None else str(axis) for axis in shape)
        raise CheckpointError(f"{file}: {name} has shape {list(seen)}, expected [{expected}]")
    _refuse_numbers(tensors[name], name, file)
    return tensors[name]


def count(tensors: Mapping[str, Tensor], pattern: str, file: Path) -> int:
    """How many layers there are, numbered from 0 in names like ``pattern``.

    Raises:
        CheckpointError: one of them is missing.
    """
    matches = (re.match(pattern, name) for name in tensors)
    found = {match[1] for match in matches if match}
    if len(found) > MOST_LAYERS:
        raise CheckpointError(f"{file} has {len(found)} layers, expected at most {MOST_LAYERS}")
    for layer in range(len(found)):
        if str(layer) not in found:
            raise CheckpointError(
                f"{file} has {len(found)} layers, but none has the number {layer}; seen: "
                f"{', '.join(name[:40] for name in sorted(found)[:5])}"
            )
    return len(found)


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
        shown = ", ".join(name[:80] for name in left[:5]) + (", ..." if len(left) > 5 else "")
        raise CheckpointError(
            f"{file} holds {len(left)} tensors that a Decision Transformer of this dialect does "
            f"not have: {shown}"
        )
