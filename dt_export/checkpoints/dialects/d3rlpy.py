"""Dialect ``d3rlpy``: DecisionTransformer and DiscreteDecisionTransformer of d3rlpy 2.8 and newer.

A ``.d3`` file is a plain pickle of {"torch": bytes, "config": JSON, "version": str}; ``model.pt``
with ``params.json`` beside it says the same without the version. Source of the facts:
d3rlpy/models/torch/transformers.py, d3rlpy/algos/transformer/, d3rlpy/preprocessing/.
"""

import json
import re
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from dt_runtime.contract import MAX_CONTEXT_LENGTH
from torch import Tensor

from dt_export.checkpoints import reading, weights
from dt_export.checkpoints.checkpoint import Found, symmetric_bounds
from dt_export.checkpoints.contents import Contents
from dt_export.checkpoints.reading import REQUIRED, Document, shown
from dt_export.checkpoints.settings import Settings
from dt_export.checkpoints.weights import Names, linear
from dt_export.errors import CheckpointError
from dt_export.facts import LARGEST, SMALLEST, Facts, Overrides
from dt_export.models.decision_transformer import DecisionTransformer, ModelConfig

SIGNATURE = ("_gpt2._transformer.0._attention._q.weight", "_rtg_embed.weight", "_output.weight")
DEAD = r"_gpt2\._transformer\.\d+\._attention\._mask|.*\.num_batches_tracked"
LOOKED_FOR = "a .d3 file, or model.pt with _gpt2._transformer.0._attention._q.weight"
FLAGS = ("target_return",)
TYPES = {"decision_transformer": False, "discrete_decision_transformer": True}
ACTIVATIONS = ("relu", "gelu", "tanh", "swish", "none")
BLOCK_EPSILON = 0.003
FIRST_TIMESTEP = 1  # its stateful wrapper begins to count there
OLDEST = (2, 8)  # before, padding was not masked: the same weights mean another policy
VECTOR = {"hidden_units": [256, 256]}
PIXEL = {"filters": [[32, 8, 4], [64, 4, 2], [64, 3, 1]], "feature_size": 512}


def detect(contents: Contents) -> bool:
    return all(name in contents.tensors for name in SIGNATURE)


def load(contents: Contents, overrides: Overrides) -> Found[DecisionTransformer]:
    """Read a model and its scalers.

    Raises:
        CheckpointError: no configuration, a version before 2.8, a scaler that was never fitted, or
            a part that cannot be expressed.
        UsageError: a flag contradicts the configuration.
    """
    file = contents.file
    notes: list[str] = []
    document, discrete = _document(contents, notes)
    params, shape = document.section("config").section("params"), _shape(document)
    where = f"{file.name} (config)"
    settings = Settings(overrides, where)
    settings.stated("discrete", discrete)
    most = len(contents.tensors)
    encoder = _Encoder(params.section("encoder_factory", {}), shape, where, most)
    hidden = weights.size(contents.tensors, "_rtg_embed.weight", 0, file)
    frames = _frame_scale(params, shape, where)
    globally = params.text("position_encoding_type") == "global"
    context = params.integer("context_size", high=MAX_CONTEXT_LENGTH)
    config = ModelConfig(
        state_shape=shape,
        act_dim=document.integer("action_size"),
        hidden_size=hidden,
        n_layer=weights.count(contents.tensors, r"_gpt2\._transformer\.(\d+)\.", file),
        n_head=settings.heads(hidden, default=1, stated=params.integer("num_heads")),
        n_inner=4 * hidden,
        max_ep_len=params.integer("max_timestep") + FIRST_TIMESTEP,
        activation=settings.activation(
            "relu", stated=_activation(params, "activation_type", where)
        ),
        state_encoder=tuple(encoder.layers),
        frame_scale=frames,
        index_actions=discrete,
        token_activation=_activation(params, "embed_activation_type", where) if discrete else None,
        positions="from_end" if globally else "timestep",
        window=context if globally else None,
        embed_norm=not discrete,
        layer_norm_epsilon=BLOCK_EPSILON,
        action_tanh=settings.stated("action_tanh", not discrete),
        discrete=discrete,
        action_bias=not discrete,
        predicts_state=False,
        predicts_return=False,
    )
    scale, offset = _reward_scale(params, where)
    if not SMALLEST <= scale <= LARGEST:
        raise CheckpointError(f"{where}: the reward scaler divides by {scale:g}, expected above 0")
    tensors = _prepared(contents.tensors, config, scale, offset, file)
    names = _names(config, encoder.names)
    model = weights.build(partial(DecisionTransformer, config), tensors, names, file, dead=DEAD)
    facts = _facts(params, config, shape, where)
    found = Facts(context_length=context, return_scale=scale).over(facts)
    return Found(model, found, file, notes=tuple(notes + settings.notes))


def _document(contents: Contents, notes: list[str]) -> tuple[Document, bool]:
    """The configuration, from inside a .d3 file or from params.json beside a bare model.

    And whether its actions are discrete.
    """
    known, file = contents.document, contents.file
    if "config" in known:
        inside = Document(known, str(file))
        content, version = known["config"], inside.text("version")
        with reading.damaged(file, "has a configuration that is not JSON"):
            values = json.loads(content)
        if tuple(int(n) for n in re.findall(r"[0-9]{1,9}", version)[:2]) < OLDEST:
            raise CheckpointError(
                f"{file} was saved by d3rlpy {shown(version)}, which did not mask padding: "
                "load it in d3rlpy 2.8 or newer, train it further, and save it again"
            )
    else:
        path = contents.directory / "params.json"
        if not path.is_file():
            raise CheckpointError(f"{file} is a bare d3rlpy model: params.json must be next to it")
        values = reading.read_json(path)
        notes.append("assumed d3rlpy 2.8 or newer: params.json does not say")
    document = Document.of(values, f"{file}: the d3rlpy configuration")
    kind = document.section("config").text("type")
    if kind not in TYPES:
        raise CheckpointError(
            f"{file} holds d3rlpy's {shown(kind)}, expected one of {', '.join(TYPES)}"
        )
    return document, TYPES[kind]


def _shape(document: Document) -> tuple[int, ...]:
    shape = document.integers("observation_shape")
    if len(shape) not in (1, 3):
        raise CheckpointError(
            f"{document.where}: observation_shape is {shown(shape)}, expected a vector or an image"
        )
    return shape


class _Encoder:
    """Our layers for one of d3rlpy's encoders, and the names of those that have weights."""

    def __init__(self, factory: Document, shape: tuple[int, ...], where: str, most: int):
        kind, params = factory.text("type", "default"), factory.section("params", {})
        if kind == "default":
            kind = "pixel" if len(shape) == 3 else "vector"
            given = {**(PIXEL if kind == "pixel" else VECTOR), **params.values}
            params = Document(given, params.where)
        if {"vector": 1, "pixel": 3}.get(kind) != len(shape):
            raise CheckpointError(
                f"{where}: the encoder is {shown(kind)}, expected vector or pixel, whichever fits "
                f"observations of shape {list(shape)}"
            )
        self.params, self.where, self.most = params, where, most
        self.layers: list[tuple[Any, ...]] = []
        self.names: dict[int, str] = {}
        self.places: Counter[str] = Counter()  # of the layers under each prefix
        self.vector(shape[0]) if kind == "vector" else self.pixel(shape)

    def vector(self, size: int) -> None:
        units = self.params.integers("hidden_units")
        self.check_count("hidden_units", units)
        for index, width in enumerate(units):
            prefix = "_encoder._layers"
            self.add(prefix, ("linear", size, width))
            self.after(prefix, width, last=index == len(units) - 1, kind="batch_norm_1d")
            size = width

    def pixel(self, shape: tuple[int, ...]) -> None:
        channels, height, width = shape
        filters: Any = self.params.values.get("filters")
        self.check_count("filters", filters)
        for index in range(len(filters)):
            out, kernel, stride = self.filter(filters, index)
            prefix = "_encoder._cnn_layers"
            self.add(prefix, ("conv", channels, out, kernel, stride))
            self.after(prefix, out, last=False, kind="batch_norm_2d")
            channels = out
            height, width = (1 + (side - kernel) // stride for side in (height, width))
            if min(height, width) < 1:
                raise CheckpointError(f"{self.where}: filters are larger than the image {shape}")
        self.layers.append(("flatten",))
        size, prefix = self.params.integer("feature_size"), "_encoder._last_layers"
        self.add(prefix, ("linear", channels * height * width, size))
        self.after(prefix, size, last=True, kind="batch_norm_1d")

    def check_count(self, key: str, listed: Any) -> None:
        """Some layers, and no more than the file can have weights for."""
        if not isinstance(listed, list | tuple) or not 1 <= len(listed) <= self.most:
            raise CheckpointError(f"{self.where}: {key} is {shown(listed)}, expected a few layers")

    def filter(self, filters: Any, index: int) -> tuple[int, ...]:
        """Channels out, kernel and stride of a convolution."""
        where = f"{self.where}: filters"
        sizes = Document({str(index): filters[index]}, where).integers(str(index))
        if len(sizes) != 3:
            raise CheckpointError(f"{where}: {index} is {shown(sizes)}, expected three integers")
        return sizes

    def after(self, prefix: str, width: int, last: bool, kind: str) -> None:
        """Activation, norms and dropout, which follow a layer in this order."""
        params = self.params
        key = "last_activation" if last and params.has("last_activation") else "activation"
        if not (last and params.flag("exclude_last_activation", False)):
            self.add(prefix, ("activation", _activation(params, key, self.where, "relu")))
        if params.flag("use_batch_norm", False):
            self.add(prefix, (kind, width))
        if params.flag("use_layer_norm", False):
            self.add(prefix, ("layer_norm", width))
        if params.number("dropout_rate", None) is not None:
            self.add(prefix, ("nothing",))

    def add(self, prefix: str, layer: tuple[Any, ...]) -> None:
        self.names[len(self.layers)] = f"{prefix}.{self.places[prefix]}"
        self.places[prefix] += 1
        self.layers.append(layer)


def _activation(params: Document, key: str, where: str, default: Any = REQUIRED) -> str:
    nested = isinstance(params.values.get(key), dict)
    name = params.section(key).text("type") if nested else params.text(key, default)
    if name not in ACTIVATIONS:
        raise CheckpointError(
            f"{where}: an activation is {shown(name)}, expected one of {', '.join(ACTIVATIONS)}"
        )
    return name


def _names(config: ModelConfig, encoder: dict[int, str]) -> Names:
    found: Names = {}
    for index, theirs in encoder.items():
        kind, ours = config.state_encoder[index][0], f"tokens.embed_state.layers.{index}"
        if kind in ("linear", "conv", "layer_norm") or kind.startswith("batch_norm"):
            found |= linear(ours, theirs)
        if kind.startswith("batch_norm"):
            for part in ("running_mean", "running_var"):
                found[f"{ours}.{part}"] = f"{theirs}.{part}"
    found |= linear("tokens.embed_return", "_rtg_embed")
    if config.positions == "from_end":
        position = "_position_encoding._global_position_embedding.weight"
        found["tokens.embed_timestep.steps.weight"] = position
        places = "_position_encoding._block_position_embedding._parameter"
        found["tokens.embed_timestep.from_end"] = places
    else:
        found["tokens.embed_timestep.weight"] = "_position_encoding._embed.weight"
    if config.discrete:
        found["tokens.embed_action.weight"] = "_action_embed.weight"
        found["predict_action.weight"] = "_output.weight"
    else:
        found |= linear("tokens.embed_action", "_action_embed")
        found |= linear("tokens.embed_ln", "_embed_ln") | linear("predict_action", "_output")
    for i in range(config.n_layer):
        ours, theirs = f"blocks.{i}", f"_gpt2._transformer.{i}"
        found |= linear(f"{ours}.ln_1", f"{theirs}._layer_norm1")
        queries = tuple(f"{theirs}._attention._{part}" for part in "qkv")
        found |= linear(f"{ours}.attn.qkv", queries)
        found |= linear(f"{ours}.attn.proj", f"{theirs}._attention._proj")
        found |= linear(f"{ours}.ln_2", f"{theirs}._layer_norm2")
        found |= linear(f"{ours}.fc", f"{theirs}._mlp._l1")
        found |= linear(f"{ours}.proj", f"{theirs}._mlp._l2")
    return found | linear("ln_f", "_gpt2._layer_norm")


def _prepared(
    tensors: dict[str, Tensor], config: ModelConfig, scale: float, offset: float, file: Path
) -> dict[str, Tensor]:
    """The tensors in the shapes that are used, with the reward scaler's offset in a bias.

    The tables of timesteps have a row that its loop never reaches, the slots are counted in
    timesteps though there are three times as many. A scaler that subtracts before it divides
    shifts every return by the same amount, which the return's linear embedding can do as well.
    """
    changed, hidden = dict(tensors), config.hidden_size
    for name in ("_embed.weight", "_global_position_embedding.weight"):
        name = f"_position_encoding.{name}"
        if name in tensors:
            table = weights.of_shape(tensors, name, (None, hidden), file)
            changed[name] = table[: config.max_ep_len]
    slots = "_position_encoding._block_position_embedding._parameter"
    if slots in tensors and config.window:
        places = weights.of_shape(tensors, slots, (1, None, hidden), file)
        changed[slots] = places[0, : config.window]
    if offset:
        weight = weights.of_shape(tensors, "_rtg_embed.weight", (hidden, 1), file)
        bias = weights.of_shape(tensors, "_rtg_embed.bias", (hidden,), file)
        shift = weight.double()[:, 0] * (offset / scale)
        changed["_rtg_embed.bias"] = (bias.double() + shift).float()
    return changed


def _scaler(params: Document, key: str) -> tuple[str, Document]:
    scaler = params.section(key, {})
    return scaler.text("type", "none"), scaler.section("params", {})


def _number(params: Document, key: str, where: str) -> float:
    _check_fitted(params, key, where)
    return params.number(key)


def _array(params: Document, key: str, where: str, size: int) -> np.ndarray:
    """One number a component, [size]."""
    _check_fitted(params, key, where)
    array = np.array(params.numbers(key))
    if array.size != size:
        raise CheckpointError(f"{where}: {key} of a scaler has {array.size} numbers, not {size}")
    return array


def _check_fitted(params: Document, key: str, where: str) -> None:
    if not params.has(key):
        raise CheckpointError(f"{where}: a scaler has no {key}: it was saved before it was fitted")


def _reward_scale(params: Document, where: str) -> tuple[float, float]:
    """(scale, offset): the network sees (return-to-go + offset) / scale."""
    kind, p = _scaler(params, "reward_scaler")
    multiplier = p.number("multiplier", 1.0, zero=False)
    match kind:
        case "none":
            return 1.0, 0.0
        case "multiply":
            return 1.0 / multiplier, 0.0
        case "return":
            low, high = (_number(p, f"return_{end}", where) for end in ("min", "max"))
            return (high - low) / multiplier, 0.0
        case "min_max":
            low, high = (_number(p, end, where) for end in ("minimum", "maximum"))
            return (high - low) / multiplier, -low
        case "standard":
            std = _number(p, "std", where) + p.number("eps", 1e-3)
            return std / multiplier, -_number(p, "mean", where)
        case "shift":
            shift = _number(p, "shift", where)
            return 1.0 / multiplier, shift / multiplier if p.flag(
                "multiply_first", False
            ) else shift
    raise CheckpointError(
        f"{where}: the reward scaler {shown(kind)} is not supported: it clips, or is unknown"
    )


def _frame_scale(params: Document, shape: tuple[int, ...], where: str) -> float | None:
    if len(shape) == 1:
        return None
    kind, _ = _scaler(params, "observation_scaler")
    if kind not in ("none", "pixel"):
        raise CheckpointError(
            f"{where}: the observation scaler of images is {shown(kind)}, expected pixel"
        )
    return 255.0 if kind == "pixel" else 1.0


def _facts(params: Document, config: ModelConfig, shape: tuple[int, ...], where: str) -> Facts:
    mean, std = (None, None) if len(shape) == 3 else _statistics(params, config, where)
    bounds, scale, offset = symmetric_bounds(config), None, None
    kind, p = _scaler(params, "action_scaler")
    if kind == "min_max":
        low, high = (_array(p, end, where, config.act_dim) for end in ("minimum", "maximum"))
        scale, offset = tuple(((high - low) / 2).tolist()), tuple(((high + low) / 2).tolist())
        bounds = Facts(action_low=tuple(low.tolist()), action_high=tuple(high.tolist()))
    elif kind != "none":
        raise CheckpointError(f"{where}: the action scaler is {shown(kind)}, expected min_max")
    own = Facts(
        first_timestep=FIRST_TIMESTEP,
        state_mean=mean,
        state_std=std,
        action_scale=scale,
        action_offset=offset,
    )
    return own.over(bounds)


def _statistics(
    params: Document, config: ModelConfig, where: str
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    kind, p = _scaler(params, "observation_scaler")
    size = config.state_dim
    match kind:
        case "none":  # trained on states as they are, which is known and no assumption
            mean, std = np.zeros(config.state_dim), np.ones(config.state_dim)
        case "pixel":
            mean, std = np.zeros(config.state_dim), np.full(config.state_dim, 255.0)
        case "standard":
            mean = _array(p, "mean", where, size)
            std = _array(p, "std", where, size) + p.number("eps", 1e-3)
        case "min_max":
            low, high = (_array(p, end, where, size) for end in ("minimum", "maximum"))
            mean, std = (low + high) / 2, (high - low) / 2
        case _:
            raise CheckpointError(f"{where}: the observation scaler {shown(kind)} is not known")
    return tuple(mean.reshape(-1).tolist()), tuple(std.reshape(-1).tolist())
