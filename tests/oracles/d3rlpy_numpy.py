"""d3rlpy's Decision Transformers in NumPy float64, derived from d3rlpy 2.8.1 and without it.

It pins another gymnasium than ours, so this is what the tests compare with. ``Options`` is the
configuration, ``state_dict`` makes random weights under d3rlpy's names, ``forward`` is its
network, ``rollout`` its stateful wrapper, ``save`` writes a ``.d3`` that d3rlpy itself loads.

Shapes in the comments: B batch, T timesteps, L = 3T tokens, H hidden size, A actions.
"""

import io
import json
import math
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .numerics import (
    LAYER_NORM_EPSILON,
    Array,
    Weights,
    convolve,
    double,
    gelu,
    linear,
    relu,
    silu,
    softmax,
)
from .weights import SPREAD, normal, tensors

BLOCK_EPSILON = 0.003  # of the two norms of a block and of the last norm; others have the default
MASKED = -10000.0  # added where a token may not look, instead of minus infinity

NONE: dict[str, Any] = {"type": "none", "params": {}}
DEFAULT_VECTOR: dict[str, Any] = dict(
    hidden_units=[256, 256],
    activation="relu",
    use_batch_norm=False,
    use_layer_norm=False,
    dropout_rate=None,
    exclude_last_activation=False,
    last_activation=None,
)
DEFAULT_PIXEL: dict[str, Any] = dict(
    filters=[[32, 8, 4], [64, 4, 2], [64, 3, 1]],
    feature_size=512,
    activation="relu",
    use_batch_norm=False,
    dropout_rate=None,
    exclude_last_activation=False,
    last_activation=None,
)
DEFAULT_SIMBA: dict[str, Any] = dict(feature_size=256, hidden_size=1024, n_blocks=1)

Layer = tuple[str, Any]  # what a layer of an nn.Sequential is, and its size or activation


def vector(**params: Any) -> dict[str, Any]:
    """The configuration of a vector encoder."""
    return {"type": "vector", "params": {**DEFAULT_VECTOR, **params}}


def pixel(**params: Any) -> dict[str, Any]:
    """The configuration of a pixel encoder."""
    return {"type": "pixel", "params": {**DEFAULT_PIXEL, **params}}


def simba(**params: Any) -> dict[str, Any]:
    """The configuration of a SimBa encoder."""
    return {"type": "simba", "params": {**DEFAULT_SIMBA, **params}}


def default(**params: Any) -> dict[str, Any]:
    """The configuration of the encoder that the shape of an observation chooses."""
    known = dict(activation="relu", use_batch_norm=False, dropout_rate=None)
    return {"type": "default", "params": {**known, **params}}


@dataclass(frozen=True)
class Options:
    """The part of d3rlpy's configuration that changes the numbers.

    Encoder and scalers are ``{"type": ..., "params": {...}}``, as in the file. Versions below 2.8
    did not mask padding.
    """

    discrete: bool = False
    observation_shape: tuple[int, ...] = (4,)
    action_size: int = 2
    num_heads: int = 2
    num_layers: int = 2
    context_size: int = 5
    max_timestep: int = 9
    activation_type: str = "relu"
    embed_activation_type: str = "tanh"
    position_encoding_type: str = "simple"
    encoder: Mapping[str, Any] = field(default_factory=lambda: vector(hidden_units=[12, 16]))
    observation_scaler: Mapping[str, Any] = field(default_factory=lambda: NONE)
    action_scaler: Mapping[str, Any] = field(default_factory=lambda: NONE)
    reward_scaler: Mapping[str, Any] = field(default_factory=lambda: NONE)
    version: str = "2.8.1"

    @property
    def masks_padding(self) -> bool:
        return tuple(int(part) for part in self.version.split(".")[:2]) >= (2, 8)

    def as_json(self) -> str:
        """The ``config`` of a file, with d3rlpy's defaults for what only training reads."""
        params: dict[str, Any] = {
            "batch_size": 128 if self.discrete else 64,
            "gamma": 0.99,
            "observation_scaler": self.observation_scaler,
            "action_scaler": self.action_scaler,
            "reward_scaler": self.reward_scaler,
            "compile_graph": False,
            "context_size": self.context_size,
            "max_timestep": self.max_timestep,
            "learning_rate": 6e-4 if self.discrete else 1e-4,
            "encoder_factory": self.encoder,
            "optim_factory": {
                "type": "adam",
                "params": {
                    "clip_grad_norm": None,
                    "lr_scheduler_factory": NONE,
                    "betas": [0.9, 0.999],
                    "eps": 1e-8,
                    "weight_decay": 0,
                    "amsgrad": False,
                },
            },
            "num_heads": self.num_heads,
            "num_layers": self.num_layers,
            "attn_dropout": 0.1,
            "resid_dropout": 0.1,
            "embed_dropout": 0.1,
            "activation_type": self.activation_type,
            "position_encoding_type": self.position_encoding_type,
        }
        if self.discrete:
            params["embed_activation_type"] = self.embed_activation_type
            params["warmup_tokens"] = 10240
            params["final_tokens"] = 30000000
        kind = "discrete_decision_transformer" if self.discrete else "decision_transformer"
        shape = {"observation_shape": self.observation_shape, "action_size": self.action_size}
        return json.dumps({**shape, "config": {"type": kind, "params": params}})


# Encoders: lists of layers whose positions are the indices of d3rlpy's names.


def encoder_layers(options: Options) -> dict[str, list[Layer]]:
    """The sequences of layers of an encoder by their prefix, in the order of the data."""
    kind, params = options.encoder["type"], options.encoder["params"]
    image = len(options.observation_shape) == 3
    if kind == "default":
        kind = "pixel" if image else "vector"
        params = {**(DEFAULT_PIXEL if image else DEFAULT_VECTOR), **params}
    if kind == "vector":
        return {"_encoder._layers.": _vector_layers(params, options.observation_shape[0])}
    if kind == "pixel":
        return _pixel_layers(params, options.observation_shape)
    width = params["feature_size"]
    blocks = [("residual", (width, params["hidden_size"]))] * params["n_blocks"]
    first = ("linear", (width, options.observation_shape[0]))
    return {"_encoder._layers.": [first, *blocks, ("layer_norm", width)]}


def _vector_layers(params: Mapping[str, Any], size: int) -> list[Layer]:
    layers: list[Layer] = []
    units = params["hidden_units"]
    for index, (before, width) in enumerate(zip([size, *units[:-1]], units, strict=True)):
        layers.append(("linear", (width, before)))
        layers += _after_linear(params, width, last=index == len(units) - 1)
    return layers


def _pixel_layers(params: Mapping[str, Any], shape: Sequence[int]) -> dict[str, list[Layer]]:
    layers: list[Layer] = []
    channels, *sides = shape
    for width, kernel, stride in params["filters"]:
        layers.append(("conv", (width, channels, kernel, stride)))
        layers.append(("activation", params["activation"]))
        if params["use_batch_norm"]:
            layers.append(("batch_norm", width))
        if params["dropout_rate"] is not None:
            layers.append(("dropout", None))
        channels, sides = width, [(side - kernel) // stride + 1 for side in sides]
    width = params["feature_size"]
    dense = [("linear", (width, channels * math.prod(sides)))]
    dense += _after_linear(params, width, last=True)
    return {"_encoder._cnn_layers.": layers, "_encoder._last_layers.": dense}


def _after_linear(params: Mapping[str, Any], width: int, *, last: bool) -> list[Layer]:
    layers: list[Layer] = []
    if not (last and params["exclude_last_activation"]):
        name = (last and params["last_activation"]) or params["activation"]
        layers.append(("activation", name))
    if params["use_batch_norm"]:
        layers.append(("batch_norm", width))
    if params.get("use_layer_norm"):
        layers.append(("layer_norm", width))
    if params["dropout_rate"] is not None:
        layers.append(("dropout", None))
    return layers


def hidden_size(options: Options) -> int:
    """The width of the transformer is whatever the encoder puts out."""
    layers = [layer for sequence in encoder_layers(options).values() for layer in sequence]
    widths = [size[0] for kind, size in layers if kind == "linear"]
    gated = ("activation", "geglu") in layers
    return widths[-1] // 2 if gated else widths[-1]


def encode(weights: Weights, options: Options, x: Array) -> Array:
    """Observations [N, ...] to features [N, H]."""
    for prefix, layers in encoder_layers(options).items():
        if prefix.endswith("_last_layers."):
            x = x.reshape(len(x), -1)
        for index, (kind, size) in enumerate(layers):
            name = f"{prefix}{index}"
            if kind == "linear":
                x = linear(x, weights, name)
            elif kind == "conv":
                x = convolve(x, weights, name, size[3])
            elif kind == "activation":
                x = activate(size, x)
            elif kind == "batch_norm":
                x = batch_norm(weights, name, x)
            elif kind == "layer_norm":
                x = layer_norm(weights, name, x, LAYER_NORM_EPSILON)
            elif kind == "residual":
                inner = layer_norm(weights, f"{name}._layers.0", x, LAYER_NORM_EPSILON)
                inner = np.maximum(linear(inner, weights, f"{name}._layers.1"), 0)
                x = x + linear(inner, weights, f"{name}._layers.3")
    return x


# Layers.


def layer_norm(weights: Weights, name: str, x: Array, epsilon: float) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def batch_norm(weights: Weights, name: str, x: Array) -> Array:
    def column(part: str) -> Array:
        return weights[f"{name}.{part}"].reshape(-1, *[1] * (x.ndim - 2))

    scaled = (x - column("running_mean")) / np.sqrt(column("running_var") + LAYER_NORM_EPSILON)
    return scaled * column("weight") + column("bias")


def activate(kind: str, x: Array) -> Array:
    if kind == "geglu":  # the first half of the last axis, gated by the second
        values, gates = np.split(x, 2, axis=-1)
        return values * gelu(gates)
    return {"relu": relu, "tanh": np.tanh, "swish": silu, "gelu": gelu, "none": np.copy}[kind](x)


# The network.


def state_dict(rng: np.random.Generator, options: Options) -> dict[str, Array]:
    """Random float32 weights under d3rlpy's names, its constant masks among them."""
    width, context = hidden_size(options), 3 * options.context_size
    shapes: dict[str, tuple[int, ...]] = {}

    def add(name: str, *shape: int, bias: bool = True) -> None:
        shapes[f"{name}.weight"] = shape
        if bias:
            shapes[f"{name}.bias"] = shape[:1]

    rows = options.max_timestep + 2
    if options.position_encoding_type == "simple":
        add("_position_encoding._embed", rows, width, bias=False)
    else:
        add("_position_encoding._global_position_embedding", rows, width, bias=False)
        table = "_position_encoding._block_position_embedding._parameter"
        shapes[table] = (1, context, width)
    if not options.discrete:
        add("_embed_ln", width)
    for index in range(options.num_layers):
        block = f"_gpt2._transformer.{index}"
        shapes[f"{block}._attention._mask"] = (1, 1, context, context)
        for part in ("_k", "_q", "_v", "_proj"):
            add(f"{block}._attention.{part}", width, width)
        add(f"{block}._mlp._l1", 4 * width, width)
        add(f"{block}._mlp._l2", width, 4 * width)
        add(f"{block}._layer_norm1", width)
        add(f"{block}._layer_norm2", width)
    add("_gpt2._layer_norm", width)
    if options.discrete:
        add("_output", options.action_size, width, bias=False)
        add("_action_embed", options.action_size, width, bias=False)
    for prefix, layers in encoder_layers(options).items():
        for position, (kind, size) in enumerate(layers):
            name = f"{prefix}{position}"
            if kind == "linear":
                add(name, *size)
            elif kind == "conv":
                add(name, size[0], size[1], size[2], size[2])
            elif kind in ("layer_norm", "batch_norm"):
                add(name, size)
            elif kind == "residual":
                add(f"{name}._layers.0", size[0])
                add(f"{name}._layers.1", size[1], size[0])
                add(f"{name}._layers.3", size[0], size[1])
            if kind == "batch_norm":
                shapes[f"{name}.running_mean"] = shapes[f"{name}.running_var"] = (size,)
                shapes[f"{name}.num_batches_tracked"] = ()
    add("_rtg_embed", width, 1)
    if not options.discrete:
        add("_action_embed", width, options.action_size)
        add("_output", options.action_size, width)
    return {name: _draw(rng, name, shape) for name, shape in shapes.items()}


def _draw(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> Array:
    if name.endswith("_mask"):
        return np.tril(np.ones(shape, np.float32))
    if name.endswith("num_batches_tracked"):
        return np.array(1, np.int64)
    if name.endswith("running_var"):
        return rng.uniform(0.3, 2, shape).astype(np.float32)
    gain = len(shape) == 1 and name.endswith("weight")  # of a norm
    return normal(rng, *shape, spread=SPREAD) + np.float32(gain)


def positions(weights: Weights, options: Options, timesteps: Array) -> Array:
    """What is added to the three tokens of a timestep: [B, T, H].

    The global encoding takes the row of the last timestep for all and adds a row for each slot of
    the window, counted in timesteps from the left.
    """
    if options.position_encoding_type == "simple":
        return weights["_position_encoding._embed.weight"][timesteps]
    table = weights["_position_encoding._global_position_embedding.weight"]
    slots = weights["_position_encoding._block_position_embedding._parameter"]
    return table[timesteps[:, -1:]] + slots[:, : timesteps.shape[1]]


def forward(
    weights: Weights,
    options: Options,
    *,
    states: Array,  # [B, T, ...], normalised
    actions: Array,  # [B, T, A] in [-1, 1], or [B, T] integers
    returns_to_go: Array,  # [B, T, 1], scaled
    timesteps: Array,  # [B, T]
    attention_mask: Array,  # [B, T], 1 for a real timestep and 0 for padding
) -> dict[str, Array]:
    """``action_preds`` [B, T, A]: actions in [-1, 1] or logits; zeros at padding.

    Windows are not cut to their real part: the global encoding counts slots of the padded window.
    """
    weights = double(weights)
    batch, length = timesteps.shape
    flat = np.asarray(states, np.float64).reshape(batch * length, *options.observation_shape)
    state = encode(weights, options, flat).reshape(batch, length, -1)
    rtg = linear(np.asarray(returns_to_go, np.float64), weights, "_rtg_embed")
    position = positions(weights, options, timesteps)
    if options.discrete:
        action = weights["_action_embed.weight"][np.asarray(actions).astype(np.int64)]
        tokens = np.stack([rtg, state, action], axis=2)  # [B, T, 3, H]
        x = activate(options.embed_activation_type, tokens) + position[:, :, None]
        x = x.reshape(batch, 3 * length, -1)
    else:
        action = linear(np.asarray(actions, np.float64), weights, "_action_embed")
        tokens = np.stack([rtg, state, action], axis=2) + position[:, :, None]
        x = layer_norm(
            weights, "_embed_ln", tokens.reshape(batch, 3 * length, -1), LAYER_NORM_EPSILON
        )

    padding = np.repeat(1 - np.asarray(attention_mask), 3, axis=1)  # [B, L]
    if not options.masks_padding:
        padding = np.zeros_like(padding)
    for index in range(options.num_layers):
        block = f"_gpt2._transformer.{index}"
        normed = layer_norm(weights, f"{block}._layer_norm1", x, BLOCK_EPSILON)
        x = x + attend(weights, f"{block}._attention", options, normed, padding)
        normed = layer_norm(weights, f"{block}._layer_norm2", x, BLOCK_EPSILON)
        inner = activate(options.activation_type, linear(normed, weights, f"{block}._mlp._l1"))
        x = x + linear(inner, weights, f"{block}._mlp._l2")
    x = layer_norm(weights, "_gpt2._layer_norm", x, BLOCK_EPSILON)

    output = linear(x[:, 1::3], weights, "_output")
    actions = output if options.discrete else np.tanh(output)
    return {"action_preds": actions * np.asarray(attention_mask)[:, :, None]}


def attend(weights: Weights, name: str, options: Options, x: Array, padding: Array) -> Array:
    batch, length, width = x.shape

    def heads(part: str) -> Array:  # [B, L, H] -> [B, N, L, H / N]
        y = linear(x, weights, f"{name}.{part}")
        return y.reshape(batch, length, options.num_heads, -1).transpose(0, 2, 1, 3)

    query, key, value = heads("_q"), heads("_k"), heads("_v")
    scores = query @ key.transpose(0, 1, 3, 2) / math.sqrt(key.shape[-1])
    scores = np.where(np.tri(length, dtype=bool), scores, MASKED)
    scores = scores + padding[:, None, None, :] * MASKED
    mixed = (softmax(scores) @ value).transpose(0, 2, 1, 3).reshape(batch, length, width)
    return linear(mixed, weights, f"{name}._proj")


# Scalers and the closed loop.


def scale_observation(options: Options, x: Array) -> Array:
    kind, params = options.observation_scaler["type"], options.observation_scaler["params"]
    if kind == "standard":
        return (x - np.array(params["mean"])) / (np.array(params["std"]) + params["eps"])
    if kind == "min_max":
        low, high = np.array(params["minimum"]), np.array(params["maximum"])
        return (x - low) / (high - low) * 2 - 1
    return x / 255 if kind == "pixel" else x


def scale_return(options: Options, x: Array) -> Array:
    """Returns-to-go go through the scaler of rewards as they are."""
    kind, params = options.reward_scaler["type"], options.reward_scaler["params"]
    if kind == "none":
        return x
    factor = params["multiplier"]
    if kind == "multiply":
        return factor * x
    if kind == "clip":
        return factor * np.clip(x, params["low"], params["high"])
    if kind == "min_max":
        return factor * (x - params["minimum"]) / (params["maximum"] - params["minimum"])
    if kind == "standard":
        return factor * (x - params["mean"]) / (params["std"] + params["eps"])
    if kind == "return":
        return factor * x / (params["return_max"] - params["return_min"])
    if kind == "shift":
        first = params["multiply_first"]
        return x * factor + params["shift"] if first else (x + params["shift"]) * factor
    raise ValueError(kind)


def unscale_action(options: Options, x: Array) -> Array:
    if options.action_scaler["type"] == "none":
        return x
    params = options.action_scaler["params"]
    low, high = np.array(params["minimum"]), np.array(params["maximum"])
    return (high - low) * (x + 1) / 2 + low


def scale_action(options: Options, x: Array) -> Array:
    if options.action_scaler["type"] == "none":
        return x
    params = options.action_scaler["params"]
    low, high = np.array(params["minimum"]), np.array(params["maximum"])
    return (x - low) / (high - low) * 2 - 1


def rollout(
    weights: Weights,
    options: Options,
    observations: Array,
    rewards: Sequence[float],
    target_return: float,
) -> tuple[Array, Array]:
    """The stateful wrapper over raw observations: actions, and the outputs they come from.

    ``rewards[t]`` follows action t. Actions are [steps, A] in the units of the environment, or
    [steps] greedy indices; outputs are [steps, A]. The window is always ``context_size`` long:
    raw zeros stand on the left, at timestep 0, and go through the scalers like everything else.
    """
    size = options.context_size
    empty = np.zeros(()) if options.discrete else np.zeros(options.action_size)
    window = {
        "states": np.zeros((size, *options.observation_shape)),
        "actions": np.zeros((size, *empty.shape)),
        "returns_to_go": np.zeros((size, 1)),
        "timesteps": np.zeros(size, np.int64),
        "attention_mask": np.zeros(size, np.int64),
    }
    left, actions, outputs = target_return, [], []
    for step, observation in enumerate(observations):
        left -= rewards[step - 1] if step else 0.0
        newest: dict[str, Any] = {
            "states": observation,
            "actions": empty,
            "returns_to_go": left,
            "timesteps": min(step + 1, options.max_timestep),
            "attention_mask": 1,
        }
        for name, value in newest.items():
            window[name] = np.roll(window[name], -1, axis=0)
            window[name][-1] = value
        inputs = dict(window)
        inputs["states"] = scale_observation(options, window["states"])
        inputs["returns_to_go"] = scale_return(options, window["returns_to_go"])
        if not options.discrete:
            inputs["actions"] = scale_action(options, window["actions"])
        batch = {name: value[None] for name, value in inputs.items()}
        output = forward(weights, options, **batch)["action_preds"][0, -1]
        if not options.discrete:
            output = unscale_action(options, output)
        action = output.argmax() if options.discrete else output
        window["actions"][-1] = action
        actions.append(action)
        outputs.append(output)
    return np.array(actions), np.array(outputs)


# Files.


def model_bytes(weights: Weights, options: Options) -> bytes:
    """What ``save_model`` writes, and what a ``.d3`` holds under ``torch``."""
    trained = [name for name in weights if not name.endswith(("_mask", "_tracked"))]
    trained = [name for name in trained if ".running_" not in name]
    group = dict(
        lr=6e-4 if options.discrete else 1e-4,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        amsgrad=False,
        maximize=False,
        foreach=None,
        capturable=False,
        differentiable=False,
        fused=None,
        decoupled_weight_decay=False,
        params=list(range(len(trained))),
    )
    optim = {"optim": {"state": {}, "param_groups": [group]}, "lr_scheduler": None}
    buffer = io.BytesIO()
    torch.save({"transformer": tensors(weights), "optim": optim}, buffer)
    return buffer.getvalue()


def save(path: Path, weights: Weights, options: Options) -> Path:
    """What ``fit`` leaves in its directory; the ``.d3`` is also what ``algo.save`` writes.

    A ``.d3`` is a pickle of the model's bytes, the configuration as JSON, and the version.
    """
    path.mkdir(parents=True, exist_ok=True)
    (path / "params.json").write_text(json.dumps(json.loads(options.as_json()), indent=2))
    content = {
        "torch": model_bytes(weights, options),
        "config": options.as_json(),
        "version": options.version,
    }
    file = path / "model_1000.d3"
    file.write_bytes(pickle.dumps(content, protocol=4))
    return file


def save_model(path: Path, weights: Weights, options: Options) -> Path:
    """What ``algo.save_model`` writes: no configuration and no version."""
    path.mkdir(parents=True, exist_ok=True)
    file = path / "model.pt"
    file.write_bytes(model_bytes(weights, options))
    return file
