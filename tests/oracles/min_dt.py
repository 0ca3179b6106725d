"""nikhilbarhate99/min-decision-transformer: post-LN blocks, names of its own.

Facts from ``decision_transformer/model.py`` (the network) and ``scripts/train.py`` (the file name:
a bare state dict without state statistics, scale, number of heads or context length; the context
length can be read from the mask, whose side is 3 times as long).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from .numerics import (
    Array,
    Weights,
    causal_attention,
    double,
    each_row,
    gelu,
    interleave,
    layer_norm,
    linear,
)
from .weights import embedding, tensors
from .weights import layer_norm as random_layer_norm
from .weights import linear as random_linear


@dataclass(frozen=True)
class Options:
    state_dim: int = 5
    act_dim: int = 2
    hidden: int = 24
    layers: int = 2
    heads: int = 2
    context: int = 6
    max_ep_len: int = 40  # max_timestep; 4096 in the original
    action_tanh: bool = True  # a constant of the original's source, to be edited for discrete use


def state_dict(rng: np.random.Generator, options: Options) -> dict[str, Array]:
    hidden, side = options.hidden, 3 * options.context
    weights: dict[str, Array] = {}
    for layer in range(options.layers):
        block = f"transformer.{layer}"
        weights[f"{block}.attention.mask"] = np.tril(np.ones((1, 1, side, side), dtype=np.float32))
        for name in ("q_net", "k_net", "v_net", "proj_net"):
            weights |= random_linear(rng, f"{block}.attention.{name}", hidden, hidden)
        weights |= random_linear(rng, f"{block}.mlp.0", hidden, 4 * hidden)
        weights |= random_linear(rng, f"{block}.mlp.2", 4 * hidden, hidden)
        weights |= random_layer_norm(rng, f"{block}.ln1", hidden)
        weights |= random_layer_norm(rng, f"{block}.ln2", hidden)
    return {
        **weights,
        **random_layer_norm(rng, "embed_ln", hidden),
        **embedding(rng, "embed_timestep", options.max_ep_len, hidden),
        **random_linear(rng, "embed_rtg", 1, hidden),
        **random_linear(rng, "embed_state", options.state_dim, hidden),
        **random_linear(rng, "embed_action", options.act_dim, hidden),
        **random_linear(rng, "predict_rtg", hidden, 1),
        **random_linear(rng, "predict_state", hidden, options.state_dim),
        **random_linear(rng, "predict_action.0", hidden, options.act_dim),
    }


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
    """``action_preds`` [B, T, A], ``state_preds`` [B, T, S], ``return_preds`` [B, T, 1].

    The original pads on the right and passes no mask: causality alone keeps the padding out, so
    the window without its padding is what it computes.
    """
    w = double(weights)

    def window(
        states: Array, actions: Array, returns_to_go: Array, timesteps: Array
    ) -> dict[str, Array]:
        time = w["embed_timestep.weight"][timesteps]  # [T, H], the same for the three tokens
        x = interleave(
            linear(returns_to_go, w, "embed_rtg") + time,
            linear(states, w, "embed_state") + time,
            linear(actions, w, "embed_action") + time,
        )  # [3T, H]: R, s, a per timestep
        x = layer_norm(x, w, "embed_ln")
        for layer in range(options.layers):
            block = f"transformer.{layer}"
            query = linear(x, w, f"{block}.attention.q_net")
            key = linear(x, w, f"{block}.attention.k_net")
            value = linear(x, w, f"{block}.attention.v_net")
            mixed = causal_attention(query, key, value, options.heads)
            x = x + linear(mixed, w, f"{block}.attention.proj_net")
            x = layer_norm(x, w, f"{block}.ln1")  # the norms come after the sums: post-LN
            wide = gelu(linear(x, w, f"{block}.mlp.0"))
            x = x + linear(wide, w, f"{block}.mlp.2")
            x = layer_norm(x, w, f"{block}.ln2")
        at_state, at_action = x[1::3], x[2::3]  # [T, H]; there is no norm after the last block
        action_preds = linear(at_state, w, "predict_action.0")
        return {
            "action_preds": np.tanh(action_preds) if options.action_tanh else action_preds,
            "state_preds": linear(at_action, w, "predict_state"),
            "return_preds": linear(at_action, w, "predict_rtg"),
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
    """The best model of a run, under the name that train.py gives it."""
    path.mkdir(parents=True, exist_ok=True)
    file = path / "dt_hopper-medium-v2_model_22-02-13-08-03-24_best.pt"
    torch.save(tensors(weights), file)
    return file
