"""The arithmetic that all dialects share, on one window at a time: N tokens of width H."""

import math
from collections.abc import Callable, Mapping

import numpy as np

Array = np.ndarray
Weights = Mapping[str, Array]

LAYER_NORM_EPSILON = 1e-5  # the default of torch.nn.LayerNorm and of GPT2Config


def double(weights: Weights) -> dict[str, Array]:
    """The same weights in float64."""
    return {name: np.asarray(array, dtype=np.float64) for name, array in weights.items()}


def linear(x: Array, weights: Weights, name: str) -> Array:
    """``torch.nn.Linear``: the weight is stored [out, in]; the bias may be missing."""
    y = x @ weights[f"{name}.weight"].T
    return y + weights[f"{name}.bias"] if f"{name}.bias" in weights else y


def conv1d(x: Array, weights: Weights, name: str) -> Array:
    """``Conv1D`` of GPT-2, which is a linear map with the weight stored [in, out]."""
    return x @ weights[f"{name}.weight"] + weights[f"{name}.bias"]


def layer_norm(x: Array, weights: Weights, name: str) -> Array:
    """Over the last axis, with the biased variance."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    normed = centred / np.sqrt(variance + LAYER_NORM_EPSILON)
    return normed * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def gelu(x: Array) -> Array:
    """x times the normal distribution function at x: the exact form, ``torch.nn.GELU()``."""
    erf = np.vectorize(math.erf, otypes=[np.float64])
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


def gelu_new(x: Array) -> Array:
    """The approximation by a tanh that GPT-2 was trained with."""
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def silu(x: Array) -> Array:
    return x / (1 + np.exp(-x))


# The names by which ``activation_function`` of a GPT2Config asks for them.
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": relu,
    "gelu": gelu,
    "gelu_new": gelu_new,
    "silu": silu,
    "tanh": np.tanh,
}


def softmax(x: Array) -> Array:
    """Over the last axis; minus infinity gives zero."""
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def causal_attention(query: Array, key: Array, value: Array, heads: int) -> Array:
    """Each token looks at itself and at earlier ones; heads are consecutive slices of the width."""
    tokens, width = query.shape
    size = width // heads
    later = np.triu(np.ones((tokens, tokens), dtype=bool), k=1)  # [N, N]
    parts = []
    for head in range(heads):
        columns = slice(head * size, (head + 1) * size)
        scores = query[:, columns] @ key[:, columns].T / math.sqrt(size)  # [N, N]
        parts.append(softmax(np.where(later, -np.inf, scores)) @ value[:, columns])  # [N, D]
    return np.concatenate(parts, axis=-1)  # [N, H]


def convolve(x: Array, weights: Weights, name: str, stride: int) -> Array:
    """``torch.nn.Conv2d`` without padding: [T, C, h, w] to [T, C', h', w']."""
    kernel = weights[f"{name}.weight"]  # [C', C, k, k]
    patches = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[2:], axis=(2, 3))
    patches = patches[:, :, ::stride, ::stride]  # [T, C, h', w', k, k]
    y = np.einsum("tchwij,ocij->tohw", patches, kernel, optimize=True)
    return y + weights[f"{name}.bias"][:, None, None]


def interleave(*streams: Array) -> Array:
    """Streams of T tokens each, one token of every stream per timestep: [T * streams, H]."""
    return np.stack(streams, axis=1).reshape(-1, streams[0].shape[-1])


def each_row(
    window: Callable[..., dict[str, Array]], attention_mask: Array, **inputs: Array
) -> dict[str, Array]:
    """Compute every row without its left padding, and put the results back among zeros."""
    batch, length = attention_mask.shape
    outputs: dict[str, Array] = {}
    for row in range(batch):
        real = int(attention_mask[row].sum())
        if not attention_mask[row, length - real :].all():
            raise ValueError(f"row {row} is not padded on the left only: {attention_mask[row]}")
        if real == 0:
            continue
        unpadded = {name: array[row, length - real :] for name, array in inputs.items()}
        for name, result in window(**unpadded).items():  # [real, ...]
            padded = outputs.setdefault(name, np.zeros((batch, length, *result.shape[1:])))
            padded[row, length - real :] = result
    return outputs
