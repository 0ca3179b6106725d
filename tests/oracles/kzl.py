"""The gym model of kzl/decision-transformer.

Facts from ``gym/decision_transformer/models/decision_transformer.py`` (embeddings, token order,
heads) and ``trajectory_gpt2.py`` (blocks); sizes from ``gym/experiment.py``. The repository itself
never saves a model: what users have is ``torch.save(model.state_dict(), ...)``.

A discrete variant (one-hot actions in, logits out) is the same network with ``action_tanh`` off.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from .numerics import (
    ACTIVATIONS,
    Array,
    Weights,
    causal_attention,
    conv1d,
    double,
    each_row,
    interleave,
    layer_norm,
    linear,
)
from .weights import conv1d as random_conv1d
from .weights import embedding, normal, tensors
from .weights import layer_norm as random_layer_norm
from .weights import linear as random_linear


@dataclass(frozen=True)
class Options:
    state_dim: int = 5
    act_dim: int = 2
    hidden: int = 24
    layers: int = 2
    heads: int = 2
    inner: int | None = None  # width of the MLP; experiment.py asks for 4 times hidden
    activation: str = "relu"  # experiment.py's default
    action_tanh: bool = True
    context: int = 6  # K; leaves no trace in the weights
    max_ep_len: int = 40
    positions: int = 1024  # n_ctx: the side of the causal mask that every block stores


def state_dict(rng: np.random.Generator, options: Options) -> dict[str, Array]:
    hidden = options.hidden
    return {
        **gpt2_weights(rng, options),
        **embedding(rng, "embed_timestep", options.max_ep_len, hidden),
        **random_linear(rng, "embed_return", 1, hidden),
        **random_linear(rng, "embed_state", options.state_dim, hidden),
        **random_linear(rng, "embed_action", options.act_dim, hidden),
        **random_layer_norm(rng, "embed_ln", hidden),
        **random_linear(rng, "predict_state", hidden, options.state_dim),
        **random_linear(rng, "predict_action.0", hidden, options.act_dim),
        **random_linear(rng, "predict_return", hidden, 1),
    }


def gpt2_weights(rng: np.random.Generator, options: Options) -> dict[str, Array]:
    """``self.transformer``: the GPT2Model of trajectory_gpt2.py, which has no ``wpe``."""
    hidden, side = options.hidden, options.positions
    inner = options.inner or 4 * hidden
    weights = {"transformer.wte.weight": normal(rng, 1, hidden)}  # vocab_size is 1; never read
    for layer in range(options.layers):
        block = f"transformer.h.{layer}"
        weights |= random_layer_norm(rng, f"{block}.ln_1", hidden)
        # Two buffers, not parameters: the causal mask and what masked scores are set to.
        weights[f"{block}.attn.bias"] = np.tril(np.ones((1, 1, side, side), dtype=np.uint8))
        weights[f"{block}.attn.masked_bias"] = np.array(-1e4, dtype=np.float32)
        weights |= random_conv1d(rng, f"{block}.attn.c_attn", hidden, 3 * hidden)
        weights |= random_conv1d(rng, f"{block}.attn.c_proj", hidden, hidden)
        weights |= random_layer_norm(rng, f"{block}.ln_2", hidden)
        weights |= random_conv1d(rng, f"{block}.mlp.c_fc", hidden, inner)
        weights |= random_conv1d(rng, f"{block}.mlp.c_proj", inner, hidden)
    return weights | random_layer_norm(rng, "transformer.ln_f", hidden)


def gpt2(x: Array, weights: Weights, layers: int, heads: int, activation: str) -> Array:
    """Pre-LN blocks and a last norm, over embedded tokens [N, H]. No position is added."""
    for layer in range(layers):
        block = f"transformer.h.{layer}"
        qkv = conv1d(layer_norm(x, weights, f"{block}.ln_1"), weights, f"{block}.attn.c_attn")
        query, key, value = np.split(qkv, 3, axis=-1)  # each [N, H]
        mixed = causal_attention(query, key, value, heads)
        x = x + conv1d(mixed, weights, f"{block}.attn.c_proj")
        wide = conv1d(layer_norm(x, weights, f"{block}.ln_2"), weights, f"{block}.mlp.c_fc")
        x = x + conv1d(ACTIVATIONS[activation](wide), weights, f"{block}.mlp.c_proj")
    return layer_norm(x, weights, "transformer.ln_f")


def forward(
    weights: Weights,
    options: Options,
    *,
    states: Array,
    actions: Array,
    returns_to_go: Array,
    timesteps: Array,
    attention_mask: Array,
) -> dict[str, Array]:
    """``action_preds`` [B, T, A], ``state_preds`` [B, T, S], ``return_preds`` [B, T, 1]."""
    w = double(weights)

    def window(
        states: Array, actions: Array, returns_to_go: Array, timesteps: Array
    ) -> dict[str, Array]:
        time = w["embed_timestep.weight"][timesteps]  # [T, H], the same for the three tokens
        tokens = interleave(
            linear(returns_to_go, w, "embed_return") + time,
            linear(states, w, "embed_state") + time,
            linear(actions, w, "embed_action") + time,
        )  # [3T, H]: R, s, a per timestep
        tokens = layer_norm(tokens, w, "embed_ln")
        x = gpt2(tokens, w, options.layers, options.heads, options.activation)
        at_state, at_action = x[1::3], x[2::3]  # [T, H]
        action_preds = linear(at_state, w, "predict_action.0")
        return {
            "action_preds": np.tanh(action_preds) if options.action_tanh else action_preds,
            "state_preds": linear(at_action, w, "predict_state"),
            "return_preds": linear(at_action, w, "predict_return"),
        }

    return each_row(
        window,
        attention_mask,
        states=states,
        actions=actions,
        returns_to_go=returns_to_go,
        timesteps=timesteps,
    )


def save(path: Path, weights: Weights, options: Options) -> Path:
    """The bare state dict, as users save it."""
    path.mkdir(parents=True, exist_ok=True)
    file = path / "model.pt"
    torch.save(tensors(weights), file)
    return file
