"""Small random checkpoints, written by the original libraries in their own file layout."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import DecisionTransformerConfig, DecisionTransformerModel

TINY = dict(state_dim=5, act_dim=2, hidden_size=24, n_layer=2, n_head=2, max_ep_len=40)

# Every option of transformers' configuration that changes the numbers, one at a time and together.
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": dict(n_head=1),
    "silu": dict(activation_function="silu"),
    "gelu": dict(activation_function="gelu"),
    "gelu_new": dict(activation_function="gelu_new"),
    "tanh": dict(activation_function="tanh"),
    "many_heads": dict(n_head=4),
    "narrow": dict(n_inner=7),
    "no_action_tanh": dict(action_tanh=False),
    "unscaled": dict(scale_attn_weights=False),
    "by_layer": dict(scale_attn_by_inverse_layer_idx=True, n_layer=3),
    "upcast": dict(reorder_and_upcast_attn=True),
    "epsilon": dict(layer_norm_epsilon=1e-2),
    "cross_attention": dict(add_cross_attention=True),
    "one_layer": dict(n_layer=1),
    "all_at_once": dict(
        activation_function="gelu_new",
        n_head=3,
        n_inner=31,
        n_layer=3,
        action_tanh=False,
        scale_attn_by_inverse_layer_idx=True,
        layer_norm_epsilon=1e-3,
    ),
}


def hugging_face_model(seed: int = 0, **options: Any) -> DecisionTransformerModel:
    """Random weights large enough that every part of the network shows in the output."""
    torch.manual_seed(seed)
    config = DecisionTransformerConfig(**{**TINY, **options})
    model = DecisionTransformerModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
    model.set_attn_implementation("eager")
    return model


def save_hugging_face(path: Path, seed: int = 0, statistics: bool = True, **options: Any) -> Path:
    """A directory as ``save_pretrained`` writes it, statistics beside it."""
    model = hugging_face_model(seed, **options)
    model.save_pretrained(path)
    if statistics:
        rng = np.random.default_rng(seed)
        np.save(path / "state_mean.npy", rng.normal(0, 2, model.config.state_dim))
        np.save(path / "state_std.npy", rng.uniform(0.05, 4, model.config.state_dim))
    return path


def windows(
    model_config: Any, batch: int, length: int, padding: int = 0, seed: int = 0
) -> dict[str, torch.Tensor]:
    """Normalised inputs for ``forward``; the first row is padded on the left."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.ones(batch, length, dtype=torch.int64)
    mask[0, :padding] = 0
    size = (batch, length)
    return {
        "states": torch.randn(*size, model_config.state_dim, generator=generator),
        "actions": torch.rand(*size, model_config.act_dim, generator=generator) * 2 - 1,
        "returns_to_go": torch.randn(*size, 1, generator=generator),
        "timesteps": torch.randint(0, model_config.max_ep_len, size, generator=generator),
        "attention_mask": mask,
    }
