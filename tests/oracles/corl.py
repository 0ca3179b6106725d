"""``algorithms/offline/dt.py`` of CORL (tinkoff-ai, now corl-team).

The network is the class ``DecisionTransformer`` there, with ``torch.nn.MultiheadAttention`` inside
pre-LN blocks; the two files are written at the end of ``train``. It predicts actions only.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

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
from .weights import embedding, normal, pickled_by_numpy_1, tensors
from .weights import layer_norm as random_layer_norm
from .weights import linear as random_linear


@dataclass(frozen=True)
class Options:
    state_dim: int = 5
    act_dim: int = 2
    hidden: int = 24  # embedding_dim
    layers: int = 2  # num_layers
    heads: int = 2  # num_heads
    context: int = 6  # seq_len
    max_ep_len: int = 40  # episode_len; the time table has seq_len rows more
    max_action: float = 1.5
    reward_scale: float = 0.001
    env_name: str = "hopper-medium-v2"
    target_returns: tuple[float, ...] = (3600.0, 1800.0)  # in the units of the environment


@dataclass
class TrainConfig:
    """The fields of the original's TrainConfig, which is what config.yaml holds.

    No size of state or action is among them: the original adds those two after start-up, outside
    of the dataclass, and they do not reach the file.
    """

    project: str = "CORL"
    group: str = "DT-D4RL"
    name: str = "DT"
    embedding_dim: int = 128
    num_layers: int = 3
    num_heads: int = 1
    seq_len: int = 20
    episode_len: int = 1000
    attention_dropout: float = 0.1
    residual_dropout: float = 0.1
    embedding_dropout: float = 0.1
    max_action: float = 1.0
    env_name: str = "halfcheetah-medium-v2"
    learning_rate: float = 1e-4
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    weight_decay: float = 1e-4
    clip_grad: float | None = 0.25
    batch_size: int = 64
    update_steps: int = 100_000
    warmup_steps: int = 10_000
    reward_scale: float = 0.001
    num_workers: int = 4
    target_returns: list[float] = field(default_factory=lambda: [12000.0, 6000.0])
    eval_episodes: int = 100
    eval_every: int = 10_000
    checkpoints_path: str | None = None
    deterministic_torch: bool = False
    train_seed: int = 10
    eval_seed: int = 42
    device: str = "cuda"


def state_dict(rng: np.random.Generator, options: Options) -> dict[str, Array]:
    hidden, side = options.hidden, 3 * options.context
    weights = {
        **random_layer_norm(rng, "emb_norm", hidden),
        **random_layer_norm(rng, "out_norm", hidden),
        **embedding(rng, "timestep_emb", options.max_ep_len + options.context, hidden),
        **random_linear(rng, "state_emb", options.state_dim, hidden),
        **random_linear(rng, "action_emb", options.act_dim, hidden),
        **random_linear(rng, "return_emb", 1, hidden),
    }
    for layer in range(options.layers):
        block = f"blocks.{layer}"
        # True where a token may not look; the opposite sense of the other dialects' masks.
        weights[f"{block}.causal_mask"] = ~np.tril(np.ones((side, side), dtype=bool))
        weights |= random_layer_norm(rng, f"{block}.norm1", hidden)
        weights |= random_layer_norm(rng, f"{block}.norm2", hidden)
        weights[f"{block}.attention.in_proj_weight"] = normal(rng, 3 * hidden, hidden)
        weights[f"{block}.attention.in_proj_bias"] = normal(rng, 3 * hidden)
        weights |= random_linear(rng, f"{block}.attention.out_proj", hidden, hidden)
        weights |= random_linear(rng, f"{block}.mlp.0", hidden, 4 * hidden)
        weights |= random_linear(rng, f"{block}.mlp.2", 4 * hidden, hidden)
    return weights | random_linear(rng, "action_head.0", hidden, options.act_dim)


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
    """``action_preds`` [B, T, A], in [-max_action, max_action]."""
    w = double(weights)

    def window(
        states: Array, actions: Array, returns_to_go: Array, timesteps: Array
    ) -> dict[str, Array]:
        time = w["timestep_emb.weight"][timesteps]  # [T, H], the same for the three tokens
        x = interleave(
            linear(returns_to_go, w, "return_emb") + time,
            linear(states, w, "state_emb") + time,
            linear(actions, w, "action_emb") + time,
        )  # [3T, H]: R, s, a per timestep
        x = layer_norm(x, w, "emb_norm")
        for layer in range(options.layers):
            block = f"blocks.{layer}"
            normed = layer_norm(x, w, f"{block}.norm1")
            # MultiheadAttention stacks the three projections: rows of q, then of k, then of v.
            stacked = w[f"{block}.attention.in_proj_weight"].T  # [H, 3H]
            qkv = normed @ stacked + w[f"{block}.attention.in_proj_bias"]
            mixed = causal_attention(*np.split(qkv, 3, axis=-1), options.heads)
            x = x + linear(mixed, w, f"{block}.attention.out_proj")
            wide = gelu(linear(layer_norm(x, w, f"{block}.norm2"), w, f"{block}.mlp.0"))
            x = x + linear(wide, w, f"{block}.mlp.2")
        at_state = layer_norm(x, w, "out_norm")[1::3]  # [T, H]
        return {"action_preds": np.tanh(linear(at_state, w, "action_head.0")) * options.max_action}

    return each_row(
        window,
        attention_mask,
        states=states,
        actions=actions,
        returns_to_go=returns_to_go,
        timesteps=timesteps,
    )


def save(
    path: Path,
    weights: Weights,
    options: Options,
    *,
    state_mean: Array | None = None,
    state_std: Array | None = None,
    numpy_1: bool = False,
) -> Path:
    """``dt_checkpoint.pt`` and, beside it, the ``config.yaml`` that pyrallis writes (sorted keys).

    The statistics are NumPy arrays [1, S] of float32 in the pickle, not tensors; ``numpy_1`` names
    their module as it was called when most such files were written.
    """
    path.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    mean = rng.normal(0, 2, options.state_dim) if state_mean is None else state_mean
    std = rng.uniform(0.05, 4, options.state_dim) if state_std is None else state_std
    checkpoint: dict[str, Any] = {
        "model_state": tensors(weights),
        "state_mean": np.asarray(mean, dtype=np.float32).reshape(1, -1),
        "state_std": np.asarray(std, dtype=np.float32).reshape(1, -1),
    }
    file = path / "dt_checkpoint.pt"
    torch.save(checkpoint, file)
    if numpy_1:
        pickled_by_numpy_1(file)

    config = TrainConfig(
        name=f"DT-{options.env_name}-0a1b2c3d",  # the original appends eight digits of a UUID
        embedding_dim=options.hidden,
        num_layers=options.layers,
        num_heads=options.heads,
        seq_len=options.context,
        episode_len=options.max_ep_len,
        max_action=options.max_action,
        env_name=options.env_name,
        reward_scale=options.reward_scale,
        target_returns=list(options.target_returns),
        checkpoints_path=f"runs/DT-{options.env_name}-0a1b2c3d",
    )
    (path / "config.yaml").write_text(yaml.dump(asdict(config)), encoding="utf-8")
    return file
