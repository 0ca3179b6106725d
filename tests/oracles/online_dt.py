"""facebookresearch/online-dt: kzl's blocks without an embedding of time, and a Gaussian policy.

Facts from ``decision_transformer/models/decision_transformer.py`` (the network; its transformer is
kzl's ``trajectory_gpt2.py``) and ``main.py`` (the file, its ``args`` and the sizes that are
constants there: 1000 rows in the time tables, an MLP of 4 times the width). ``main.py`` always
builds the stochastic policy; the class also knows the deterministic head of kzl.

Neither state statistics nor the scale of returns are in the file: the scale follows from the name
of the environment, 1 for antmaze and 0.001 otherwise.
"""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .kzl import gpt2, gpt2_weights
from .numerics import Array, Weights, double, each_row, interleave, layer_norm, linear
from .weights import embedding, pickled_by_numpy_1, tensors
from .weights import layer_norm as random_layer_norm
from .weights import linear as random_linear

LOG_STD_BOUNDS = (-5.0, 2.0)  # the default of DiagGaussianActor, which nobody overrides


@dataclass(frozen=True)
class Options:
    state_dim: int = 5
    act_dim: int = 2
    hidden: int = 24  # embed_dim
    layers: int = 2
    heads: int = 2
    inner: int | None = None  # 4 times hidden
    activation: str = "relu"
    stochastic: bool = True
    action_tanh: bool = True  # of the deterministic head
    ordering: int = 0  # anything but 0 adds embed_ordering(timesteps)
    context: int = 6  # K
    eval_context: int = 3  # the window of the evaluation; 5 of K = 20 in the original
    max_ep_len: int = 40  # MAX_EPISODE_LEN, 1000; not in args
    positions: int = 1024
    env_name: str = "hopper-medium-v2"
    eval_rtg: int = 3600  # in the units of the environment


def state_dict(rng: np.random.Generator, options: Options) -> dict[str, Array]:
    hidden = options.hidden
    weights = gpt2_weights(rng, options)
    weights |= embedding(rng, "embed_timestep", options.max_ep_len, hidden)  # never read
    if options.ordering:
        weights |= embedding(rng, "embed_ordering", options.max_ep_len, hidden)
    heads = ("mu", "log_std") if options.stochastic else ("0",)
    weights |= {
        **random_linear(rng, "embed_return", 1, hidden),
        **random_linear(rng, "embed_state", options.state_dim, hidden),
        **random_linear(rng, "embed_action", options.act_dim, hidden),
        **random_layer_norm(rng, "embed_ln", hidden),
        **random_linear(rng, "predict_state", hidden, options.state_dim),
        **random_linear(rng, "predict_return", hidden, 1),
    }
    for head in heads:
        weights |= random_linear(rng, f"predict_action.{head}", hidden, options.act_dim)
    return weights


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

    The stochastic policy also gives ``mu`` and ``log_std`` [B, T, A], those of the normal
    distribution under the tanh; its ``action_preds`` are tanh(mu), which the evaluation takes for
    the mean. The clamp to the range of actions happens afterwards, outside of ``forward``.
    """
    w = double(weights)

    def policy(at_state: Array) -> dict[str, Array]:
        if not options.stochastic:
            action_preds = linear(at_state, w, "predict_action.0")
            return {"action_preds": np.tanh(action_preds) if options.action_tanh else action_preds}
        mu = linear(at_state, w, "predict_action.mu")
        low, high = LOG_STD_BOUNDS
        fraction = (np.tanh(linear(at_state, w, "predict_action.log_std")) + 1) / 2  # in [0, 1]
        return {"action_preds": np.tanh(mu), "mu": mu, "log_std": low + (high - low) * fraction}

    def window(
        states: Array, actions: Array, returns_to_go: Array, timesteps: Array
    ) -> dict[str, Array]:
        # By default nothing tells the time: the order shows through causality alone.
        time = w["embed_ordering.weight"][timesteps] if options.ordering else 0.0  # [T, H]
        tokens = interleave(
            linear(returns_to_go, w, "embed_return") + time,
            linear(states, w, "embed_state") + time,
            linear(actions, w, "embed_action") + time,
        )  # [3T, H]: R, s, a per timestep
        tokens = layer_norm(tokens, w, "embed_ln")
        x = gpt2(tokens, w, options.layers, options.heads, options.activation)
        at_state, at_action = x[1::3], x[2::3]  # [T, H]
        return policy(at_state) | {
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


def save(path: Path, weights: Weights, options: Options, *, numpy_1: bool = False) -> Path:
    """``model.pt``: weights, command line, and all that resuming the training needs.

    Beside tensors and plain values the pickle holds an array (NumPy's random state) and, after
    online fine-tuning, a NumPy scalar (the number of transitions). The log of the temperature is
    a plain tensor of the model: only its optimizer is here.
    """
    path.mkdir(parents=True, exist_ok=True)
    file = path / "model.pt"
    rate = 1e-4
    checkpoint: dict[str, Any] = {
        "model_state_dict": tensors(weights),
        "optimizer_state_dict": lamb_state(weights, rate),
        "scheduler_state_dict": {
            "base_lrs": [rate],
            "last_epoch": 5000,
            "verbose": False,
            "_step_count": 5001,
            "_get_lr_called_within_step": False,
            "_last_lr": [rate / 2],
            "lr_lambdas": [None],
        },
        "pretrain_iter": 1,
        "online_iter": 1,
        "args": arguments(options),
        "total_transitions_sampled": np.float64(1000),
        "np": np.random.RandomState(0).get_state(),  # ("MT19937", uint32 array, int, int, float)
        "python": random.Random(0).getstate(),
        "pytorch": torch.get_rng_state(),
        "log_temperature_optimizer_state_dict": {
            "state": {
                0: {
                    "step": 5000,
                    "exp_avg": torch.tensor(0.1, dtype=torch.float64),
                    "exp_avg_sq": torch.tensor(0.01, dtype=torch.float64),
                }
            },
            "param_groups": [
                {
                    "lr": rate,
                    "betas": [0.9, 0.999],
                    "eps": 1e-8,
                    "weight_decay": 0,
                    "amsgrad": False,
                    "params": [0],
                }
            ],
        },
    }
    torch.save(checkpoint, file)
    if numpy_1:
        pickled_by_numpy_1(file)
    return file


def arguments(options: Options) -> dict[str, Any]:
    """``vars(args)``: every option of main.py's command line, with its default where it is free."""
    return {
        "seed": 10,
        "env": options.env_name,
        "K": options.context,
        "embed_dim": options.hidden,
        "n_layer": options.layers,
        "n_head": options.heads,
        "activation_function": options.activation,
        "dropout": 0.1,
        "eval_context_length": options.eval_context,
        "ordering": options.ordering,
        "eval_rtg": options.eval_rtg,
        "num_eval_episodes": 10,
        "init_temperature": 0.1,
        "batch_size": 256,
        "learning_rate": 1e-4,
        "weight_decay": 5e-4,
        "warmup_steps": 10000,
        "max_pretrain_iters": 1,
        "num_updates_per_pretrain_iter": 5000,
        "max_online_iters": 1500,
        "online_rtg": 7200,
        "num_online_rollouts": 1,
        "replay_size": 1000,
        "num_updates_per_online_iter": 300,
        "eval_interval": 10,
        "device": "cuda",
        "log_to_tb": True,
        "save_dir": "./exp",
        "exp_name": "default",
    }


def lamb_state(weights: Weights, rate: float) -> dict[str, Any]:
    """The form of an optimizer's state, by number of parameter; buffers have none."""
    buffers = (".attn.bias", ".attn.masked_bias")
    parameters = [array for name, array in weights.items() if not name.endswith(buffers)]
    return {
        "state": {
            number: {
                "step": 5000,
                "exp_avg": torch.zeros(array.shape),
                "exp_avg_sq": torch.ones(array.shape),
                "weight_norm": torch.tensor(1.0),
                "adam_norm": torch.tensor(2.0),
                "trust_ratio": torch.tensor(0.5),
            }
            for number, array in enumerate(parameters)
        },
        "param_groups": [
            {
                "lr": rate / 2,
                "betas": (0.9, 0.999),
                "eps": 1e-8,
                "weight_decay": 5e-4,
                "initial_lr": rate,
                "params": list(range(len(parameters))),
            }
        ],
    }
