"""The Atari model of kzl/decision-transformer, built on Karpathy's minGPT.

Facts from ``atari/mingpt/model_atari.py`` (the network), ``atari/mingpt/trainer_atari.py`` and
``utils.py`` (the evaluation and its timestep) and ``atari/run_dt_atari.py`` (the sizes: a block of
3 tokens for each timestep of the context, whatever the model type). Actions are numbers and the
outputs are logits. The trainer's ``torch.save(raw_model.state_dict(), ...)`` is commented out; a
user who brings it back has a bare state dict.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from .numerics import (
    Array,
    Weights,
    causal_attention,
    convolve,
    double,
    each_row,
    gelu,
    interleave,
    layer_norm,
    linear,
    relu,
)
from .weights import embedding, normal, tensors
from .weights import layer_norm as random_layer_norm
from .weights import linear as random_linear

# In, out, side of the kernel, stride, by place in ``state_encoder``; a ReLU follows each.
CONVOLUTIONS = {0: (4, 32, 8, 4), 2: (32, 64, 4, 2), 4: (64, 64, 3, 1)}
FLATTENED = 64 * 7 * 7  # what 84 x 84 frames become


@dataclass(frozen=True)
class Options:
    act_dim: int = 6  # vocab_size: the number of actions
    hidden: int = 24
    layers: int = 2
    heads: int = 2
    context: int = 6  # timesteps; block_size is 3 times that
    max_timestep: int = 40  # the last timestep that has a row in global_pos_emb
    model_type: Literal["reward_conditioned", "naive"] = "reward_conditioned"


def state_dict(rng: np.random.Generator, options: Options) -> dict[str, Array]:
    hidden, side = options.hidden, 3 * options.context + 1  # block_size + 1
    weights = {
        "pos_emb": normal(rng, 1, side, hidden),
        "global_pos_emb": normal(rng, 1, options.max_timestep + 1, hidden),
        **embedding(rng, "tok_emb", options.act_dim, hidden),  # minGPT's; never read
    }
    for layer in range(options.layers):
        block = f"blocks.{layer}"
        weights |= random_layer_norm(rng, f"{block}.ln1", hidden)
        weights |= random_layer_norm(rng, f"{block}.ln2", hidden)
        weights[f"{block}.attn.mask"] = np.tril(np.ones((1, 1, side, side), dtype=np.float32))
        for name in ("key", "query", "value", "proj"):
            weights |= random_linear(rng, f"{block}.attn.{name}", hidden, hidden)
        weights |= random_linear(rng, f"{block}.mlp.0", hidden, 4 * hidden)
        weights |= random_linear(rng, f"{block}.mlp.2", 4 * hidden, hidden)
    weights |= random_layer_norm(rng, "ln_f", hidden)
    weights["head.weight"] = normal(rng, options.act_dim, hidden)  # no bias
    # The encoder sums over many inputs: smaller weights keep its last tanh from saturating.
    for place, (inputs, outputs, size, _) in CONVOLUTIONS.items():
        name, spread = f"state_encoder.{place}", 1.5 / math.sqrt(inputs * size * size)
        weights[f"{name}.weight"] = normal(rng, outputs, inputs, size, size, spread=spread)
        weights[f"{name}.bias"] = normal(rng, outputs)
    spread = 1.5 / math.sqrt(FLATTENED)
    weights |= random_linear(rng, "state_encoder.7", FLATTENED, hidden, spread=spread)
    weights |= random_linear(rng, "ret_emb.0", 1, hidden)
    return weights | embedding(rng, "action_embeddings.0", options.act_dim, hidden)


def encode(frames: Array, weights: Weights) -> Array:
    """Frames [T, 4, 84, 84] in 0..255 to embeddings [T, H] in (-1, 1)."""
    x = frames.astype(np.float64) / 255  # done by the dataset and the environment
    for place, (_, _, _, stride) in CONVOLUTIONS.items():
        x = relu(convolve(x, weights, f"state_encoder.{place}", stride))
    x = x.reshape(len(x), FLATTENED)  # channel by channel, row by row
    return np.tanh(linear(x, weights, "state_encoder.7"))


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
    """``action_preds``: logits [B, T, A], read at the state tokens.

    ``states`` are uint8 [B, T, 4, 84, 84] and ``actions`` whole numbers [B, T]. The original's
    evaluation feeds no action for the last timestep; that token comes last and nothing looks at
    it, so it may be anything here. The naive model reads no ``returns_to_go``.
    """
    w = double(weights)

    def window(
        states: Array, actions: Array, returns_to_go: Array, timesteps: Array
    ) -> dict[str, Array]:
        state = encode(states, w)  # [T, H]
        action = np.tanh(w["action_embeddings.0.weight"][actions])  # [T, H]
        if options.model_type == "reward_conditioned":
            tokens = interleave(np.tanh(linear(returns_to_go, w, "ret_emb.0")), state, action)
            state_tokens = slice(1, None, 3)
        else:
            tokens = interleave(state, action)
            state_tokens = slice(0, None, 2)
        # One timestep for the whole window, the current one; tokens are counted from its start.
        x = tokens + w["global_pos_emb"][0, timesteps[-1]] + w["pos_emb"][0, : len(tokens)]
        for layer in range(options.layers):
            block = f"blocks.{layer}"
            normed = layer_norm(x, w, f"{block}.ln1")
            query = linear(normed, w, f"{block}.attn.query")
            key = linear(normed, w, f"{block}.attn.key")
            value = linear(normed, w, f"{block}.attn.value")
            mixed = causal_attention(query, key, value, options.heads)
            x = x + linear(mixed, w, f"{block}.attn.proj")
            wide = gelu(linear(layer_norm(x, w, f"{block}.ln2"), w, f"{block}.mlp.0"))
            x = x + linear(wide, w, f"{block}.mlp.2")
        logits = linear(layer_norm(x, w, "ln_f"), w, "head")
        return {"action_preds": logits[state_tokens]}

    return each_row(
        window,
        attention_mask,
        states=states,
        actions=actions,
        returns_to_go=returns_to_go,
        timesteps=timesteps,
    )


def save(path: Path, weights: Weights, options: Options) -> Path:
    """The bare state dict."""
    path.mkdir(parents=True, exist_ok=True)
    file = path / "checkpoint.pth"
    torch.save(tensors(weights), file)
    return file
