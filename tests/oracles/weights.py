"""Random weights under the originals' names, and their way into files."""

import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

from .numerics import Array, Weights

SPREAD = 0.3  # large enough at these sizes that every part of a network shows in its outputs


def normal(rng: np.random.Generator, *shape: int, spread: float = SPREAD) -> Array:
    return rng.normal(0, spread, shape).astype(np.float32)


def embedding(rng: np.random.Generator, name: str, rows: int, width: int) -> dict[str, Array]:
    return {f"{name}.weight": normal(rng, rows, width)}


def linear(
    rng: np.random.Generator, name: str, inputs: int, outputs: int, spread: float = SPREAD
) -> dict[str, Array]:
    """``torch.nn.Linear``: the weight is stored [out, in]."""
    return {
        f"{name}.weight": normal(rng, outputs, inputs, spread=spread),
        f"{name}.bias": normal(rng, outputs),
    }


def conv1d(rng: np.random.Generator, name: str, inputs: int, outputs: int) -> dict[str, Array]:
    """``Conv1D`` of GPT-2: the weight is stored [in, out]."""
    return {f"{name}.weight": normal(rng, inputs, outputs), f"{name}.bias": normal(rng, outputs)}


def layer_norm(rng: np.random.Generator, name: str, width: int) -> dict[str, Array]:
    return {f"{name}.weight": 1 + normal(rng, width), f"{name}.bias": normal(rng, width)}


def tensors(weights: Weights) -> OrderedDict[str, torch.Tensor]:
    """What ``module.state_dict()`` would hold."""
    return OrderedDict((name, torch.from_numpy(np.array(array))) for name, array in weights.items())


def pickled_by_numpy_1(path: Path) -> None:
    """Name NumPy's modules in the pickle of a torch file the way NumPy 1 did.

    NumPy 2 moved ``numpy.core`` to ``numpy._core``; a checkpoint of 2022 holds the old names.
    Globals stand as plain lines in the protocol 2 that ``torch.save`` writes.
    """
    with zipfile.ZipFile(path) as archive:
        records = [(info.filename, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in records:
            if name.endswith("/data.pkl"):
                content = content.replace(b"cnumpy._core.", b"cnumpy.core.")
            archive.writestr(name, content)
