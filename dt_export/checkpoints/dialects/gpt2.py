"""What the dialects with GPT-2 blocks share: huggingface, kzl and online-dt."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from torch import Tensor

from dt_export.checkpoints.weights import Names, count, linear, size


class Sizes(TypedDict):
    """Fields of ModelConfig that shapes tell."""

    state_shape: tuple[int, ...]
    act_dim: int
    hidden_size: int
    n_layer: int
    n_inner: int


def names(n_layer: int, encoder: str, action: str = "predict_action.0") -> Names:
    """Our parameters to theirs, without the table of timesteps; ``encoder`` prefixes the blocks."""
    found: Names = {}
    for part in ("embed_return", "embed_state", "embed_action", "embed_ln"):
        found |= linear(f"tokens.{part}", part)
    found |= blocks(n_layer, f"{encoder}.")
    found |= linear("predict_state", "predict_state")
    found |= linear("predict_action", action)
    return found | linear("predict_return", "predict_return")


def blocks(n_layer: int, prefix: str) -> Names:
    """Our parameters of the blocks and the last norm to theirs."""
    found = linear("ln_f", f"{prefix}ln_f")
    for i in range(n_layer):
        ours, theirs = f"blocks.{i}", f"{prefix}h.{i}"
        found |= linear(f"{ours}.ln_1", f"{theirs}.ln_1")
        found |= linear(f"{ours}.attn.qkv", f"{theirs}.attn.c_attn")
        found |= linear(f"{ours}.attn.proj", f"{theirs}.attn.c_proj")
        found |= linear(f"{ours}.ln_2", f"{theirs}.ln_2")
        found |= linear(f"{ours}.fc", f"{theirs}.mlp.c_fc")
        found |= linear(f"{ours}.proj", f"{theirs}.mlp.c_proj")
    return found


def transposed(tensors: Mapping[str, Tensor]) -> set[str]:
    """The weights of its Conv1D, which are [in, out]."""
    return {name for name in tensors if re.search(r"\.c_\w+\.weight$", name)}


def sizes(tensors: Mapping[str, Tensor], encoder: str, file: Path) -> Sizes:
    """What the shapes tell."""
    return Sizes(
        state_shape=(size(tensors, "embed_state.weight", 1, file),),
        act_dim=size(tensors, "embed_action.weight", 1, file),
        hidden_size=size(tensors, "embed_state.weight", 0, file),
        n_layer=count(tensors, rf"{re.escape(encoder)}\.h\.(\d+)\.", file),
        n_inner=size(tensors, f"{encoder}.h.0.mlp.c_fc.weight", 1, file),
    )
