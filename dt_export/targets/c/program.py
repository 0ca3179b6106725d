"""What a step program is made of: sizes, weights in the order of execution, and their layout.

Weights come out of the step graph, whose attention is folded already (see graphs/folding.py). Here
the gains and biases of layer norms are folded into the linear maps that follow them, where only
linear maps do: W (g * y + b) + c = (W g) y + (W b + c). Sums are made in float64 and rounded once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from dt_export.errors import UsageError
from dt_export.graphs.folding import FoldedAttention, layers
from dt_export.graphs.step import StepGraph
from dt_export.models.decision_transformer import (
    Activation,
    Block,
    DecisionTransformer,
    ModelConfig,
    StateEncoder,
)
from dt_export.targets.c.layout import Array, bfloat16, int8, padded, panels, widened

FUNCTIONS = {
    "relu": "RELU",
    "silu": "SILU",
    "swish": "SILU",
    "gelu": "GELU",
    "gelu_new": "GELU_TANH",
    "gelu_pytorch_tanh": "GELU_TANH",
    "tanh": "TANH",
    "none": "NOTHING",
}
SMALLEST = np.float32(1e-18)  # of a weight, and in policy.c of an input
TYPES = {"float32": "float", "uint16": "uint16_t", "int8": "int8_t", "int32": "int32_t"}


@dataclass(frozen=True)
class Field:
    """An array of the weights; ``path`` is its name as C writes it: ``layers[0].query.w``."""

    path: str
    values: Array  # flat

    @property
    def type(self) -> str:
        return TYPES[str(self.values.dtype)]


@dataclass(frozen=True)
class Program:
    """Everything that a file of C is printed from."""

    config: ModelConfig
    fields: tuple[Field, ...]
    encoder: tuple[str, ...]  # the state's embedding, as statements of C
    widest: int  # numbers between layers of the encoder


@dataclass(frozen=True)
class _Affine:
    """A linear map [n, depth] and its bias [n], in float64."""

    weight: Array
    bias: Array

    def after(self, gain: Array, bias: Array) -> "_Affine":
        """The map of gain * y + bias."""
        return _Affine(self.weight * gain, self.weight @ bias + self.bias)


def program(module: nn.Module, precision: str) -> Program:
    """The program of a step graph.

    Raises:
        UsageError: the state goes through layers that have no translation.
    """
    assert isinstance(module, StepGraph)
    model, config = module.model, module.model.config
    encoder, widest, encoded = _encoder(model, config)
    fields = [*encoded, *_embedding(module, precision)]
    for index, (block, attention) in enumerate(layers(model, module.attentions)):
        fields += _layer(f"layers[{index}]", block, attention, config, precision)
    fields += _plain("head", _head(model), padded(config.hidden_size))
    return Program(config, tuple(fields), encoder, widest)


def check(model: DecisionTransformer) -> None:
    """Raise UsageError if the model's states go through layers that C has no code for."""
    if model.config.state_encoder:
        for layer in _encoder_layers(model):
            if not isinstance(layer, nn.Linear | nn.LayerNorm | nn.BatchNorm1d | Activation
                              | nn.Identity | nn.Flatten):  # fmt: skip
                raise UsageError(
                    "target c has no code for image encoders, and this model's states go through "
                    f"a {type(layer).__name__}: use `dt-export onnx`"
                )


def _array(tensor: torch.Tensor) -> Array:
    out: Array = tensor.detach().double().numpy()
    return out


def _affine(linear: nn.Module) -> _Affine:
    assert isinstance(linear, nn.Linear)
    bias = np.zeros(linear.out_features) if linear.bias is None else _array(linear.bias)
    return _Affine(_array(linear.weight), bias)


def _encoder_layers(model: DecisionTransformer) -> list[nn.Module]:
    embed = model.tokens.embed_state
    return list(embed.layers) if isinstance(embed, StateEncoder) else [embed]


def _encoder(
    model: DecisionTransformer, config: ModelConfig
) -> tuple[tuple[str, ...], int, list[Field]]:
    """The state's embedding: statements, the widest row between them, and weights.

    Rows lie in p->encoded[0] and [1] in turn; the last layer writes the state's token.
    """
    check(model)
    parts = _encoder_layers(model)
    statements: list[str] = []
    fields: list[Field] = []
    widest = padded(config.state_dim)
    size, at, source = config.state_dim, 0, "state"
    last = max(i for i, part in enumerate(parts) if isinstance(part, nn.Linear))
    for index, part in enumerate(parts):
        target = "x + (TOKENS - 1) * WIDTH" if index == last else f"p->encoded[{1 - at}]"
        if isinstance(part, nn.Linear):
            name, n = f"state_{index}", padded(part.out_features)
            fields += _plain(name, _affine(part), size)
            statements.append(
                f"isa_linear(1, {size}, {n}, {source}, {size}, w->{name}.w, w->{name}.bias, "
                f"{target}, {n}, isa_STORE);"
            )
            size, at, source, widest = n, 1 - at, target, max(widest, n)
        elif isinstance(part, nn.LayerNorm):
            name, n = f"state_{index}", part.normalized_shape[0]
            fields += _norm(name, part)
            statements.append(
                f"isa_norm({source}, {source}, {n}, {padded(n)}, w->{name}.gain, w->{name}.bias, "
                f"{_number(part.eps)});"
            )
        elif isinstance(part, nn.BatchNorm1d):
            name, n = f"state_{index}", padded(part.num_features)
            assert part.running_mean is not None and part.running_var is not None
            gain = _array(part.weight) / np.sqrt(_array(part.running_var) + part.eps)
            bias = _array(part.bias) - _array(part.running_mean) * gain
            fields += [_row(f"{name}.gain", gain), _row(f"{name}.bias", bias)]
            statements.append(
                f"for (i = 0; i < {n}; i += isa_LANES) isa_store({source} + i, "
                f"isa_load({source} + i) * isa_load(w->{name}.gain + i) + "
                f"isa_load(w->{name}.bias + i));"
            )
        elif isinstance(part, Activation):
            kind = next(layer[1] for layer in [config.state_encoder[index]])
            statements.append(
                f"for (i = 0; i < {padded(size)}; i += isa_LANES) isa_store({source} + i, "
                f"isa_function(PREFIX_{FUNCTIONS[kind]}, isa_load({source} + i)));"
            )
    return tuple(statements), widest, fields


def _embedding(module: StepGraph, precision: str) -> Iterator[Field]:
    model, tokens = module.model, module.tokens
    width = padded(model.config.hidden_size)
    if isinstance(tokens.embed_action, nn.Embedding):
        table = _array(tokens.embed_action.weight)
        yield Field("action", widened(table, len(table), width).astype(np.float32).reshape(-1))
    else:
        yield from _plain("action", _affine(tokens.embed_action))
    if tokens.embed_return is not None:
        returns = _affine(tokens.embed_return)
        yield _row("returns.w", returns.weight[:, 0])
        yield _row("returns.bias", returns.bias)
    if isinstance(tokens.embed_timestep, nn.Embedding):
        table = _array(tokens.embed_timestep.weight)
        # Rows of no use bring the table to whole cache lines, which keeps what follows aligned.
        table = widened(table, -(-len(table) // 4) * 4, width)
        if precision == "int8":
            rows, scales = int8(table)
            yield Field("timesteps", rows.reshape(-1))
            yield _row("timestep_scale", scales)
        else:
            of = bfloat16 if precision == "bf16" else _single
            yield Field("timesteps", of(table).reshape(-1))
    if isinstance(model.tokens.embed_ln, nn.LayerNorm):
        yield from _norm("embed_norm", model.tokens.embed_ln)


def _layer(
    name: str, block: Block, attention: FoldedAttention, config: ModelConfig, precision: str
) -> Iterator[Field]:
    hidden = config.hidden_size
    gain, bias = np.ones(hidden), np.zeros(hidden)
    second = gain, bias
    if block.norm_first:
        gain, bias = _array(block.ln_1.weight), _array(block.ln_1.bias)
        second = _array(block.ln_2.weight), _array(block.ln_2.bias)
    query, output = _affine(attention.query), _affine(attention.output)
    query = query.after(gain, bias)
    width = padded(hidden)
    if attention.single:
        # Keys and values are y itself. The norm's bias is the same for all keys and leaves the
        # softmax as it is; its gain moves into the query, and both into the output.
        query = _Affine(query.weight * gain[:, None], query.bias * gain)
        output = output.after(gain, bias)
        mixed = width
    else:
        key, value = (_affine(part).after(gain, bias) for part in (attention.key, attention.value))
        deep = padded(config.head_size)
        mixed = config.n_head * deep
        spread = _spread(config)  # [N * D] -> its place among padded heads
        memory = _Affine(np.zeros((width + mixed, hidden)), np.zeros(width + mixed))
        memory.weight[:hidden], memory.bias[:hidden] = key.weight, key.bias
        memory.weight[width + spread], memory.bias[width + spread] = value.weight, value.bias
        yield from _matrix(f"{name}.memory", memory, width, precision)
        weight = np.zeros((hidden, mixed))
        weight[:, spread] = output.weight
        output = _Affine(weight, output.bias)
    yield from _matrix(f"{name}.query", query, width, precision)
    yield from _matrix(f"{name}.output", output, mixed, precision)
    if not block.norm_first:
        yield from _norm(f"{name}.norm_1", block.ln_1)
    yield from _matrix(f"{name}.up", _affine(block.fc).after(*second), width, precision)
    yield from _matrix(f"{name}.down", _affine(block.proj), padded(config.n_inner), precision)
    if not block.norm_first:
        yield from _norm(f"{name}.norm_2", block.ln_2)


def _spread(config: ModelConfig) -> Array:
    """Where the numbers of heads [N * D] lie when each head is padded."""
    head, inside = np.divmod(np.arange(config.hidden_size), config.head_size)
    places: Array = head * padded(config.head_size) + inside
    return places


def _head(model: DecisionTransformer) -> _Affine:
    head = _affine(model.predict_action)
    if isinstance(model.ln_f, nn.LayerNorm):
        head = head.after(_array(model.ln_f.weight), _array(model.ln_f.bias))
    return head


def _plain(name: str, affine: _Affine, depth: int | None = None) -> Iterator[Field]:
    """A linear map in float32, whatever the precision; ``depth`` may be padded."""
    n, own = affine.weight.shape
    weight = widened(affine.weight, padded(n), depth or own)
    yield Field(f"{name}.w", panels(_single(weight)))
    yield _row(f"{name}.bias", affine.bias)


def _matrix(name: str, affine: _Affine, depth: int, precision: str) -> Iterator[Field]:
    """A linear map inside a layer, in the program's precision."""
    n = padded(len(affine.bias))
    weight = widened(affine.weight, n, depth)
    if precision == "int8":
        rows, scales = int8(weight)
        yield Field(f"{name}.w", panels(rows, 4))
        yield Field(f"{name}.scale", scales)
        # With the sign bit of inputs flipped, 128 is added to each: this takes it off again.
        yield Field(f"{name}.start", -128 * rows.astype(np.int32).sum(axis=1, dtype=np.int32))
    elif precision == "bf16":
        yield Field(f"{name}.w", panels(bfloat16(weight), 2))
    else:
        yield Field(f"{name}.w", panels(_single(weight)))
    yield _row(f"{name}.bias", affine.bias)


def _norm(name: str, norm: nn.LayerNorm) -> Iterator[Field]:
    yield _row(f"{name}.gain", _array(norm.weight))
    yield _row(f"{name}.bias", _array(norm.bias))


def _row(path: str, values: Array) -> Field:
    """A row of float32, padded with zeros."""
    return Field(path, _single(widened(values, padded(len(values)))))


def _single(values: Array) -> Array:
    """float32 without numbers below SMALLEST, whose products could be subnormal, which is slow."""
    out = values.astype(np.float32)
    return np.where(np.abs(out) < SMALLEST, np.float32(0), out)


def _number(value: float) -> str:
    """A float32 as C writes it, exactly."""
    text = np.float32(value).item().hex()
    return f"{text}f"
