"""State dicts: other types, shapes, names and values, in files that are well formed."""

import random
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fuzz.mutations import documents

NESTED = ("model_state_dict", "model_state", "state_dict", "model", "transformer")


def _types() -> list[torch.dtype]:
    return [
        torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool,
        torch.complex64, torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn,
    ]  # fmt: skip


WAYS: dict[str, Callable[[random.Random, Tensor], Any]] = {
    "type": lambda rng, t: t.to(rng.choice(_types())),
    "flat": lambda rng, t: t.reshape(-1),
    "one more axis": lambda rng, t: t[None],
    "scalar": lambda rng, t: torch.tensor(1.0),
    "empty": lambda rng, t: torch.zeros(rng.choice(((0,), (0, 8), (8, 0), (0, 0, 0)))),
    "longer": lambda rng, t: torch.cat([t, t]) if t.ndim else t[None],
    "shorter": lambda rng, t: t[: len(t) // 2] if t.ndim else t[None],
    "expanded": lambda rng, t: torch.zeros(1).expand(*_sizes(rng, t)),
    "expanded axis": lambda rng, t: torch.zeros(1, *t.shape[1:]).expand(10**8, *t.shape[1:]),
    "not a number": lambda rng, t: torch.full_like(t, float("nan"), dtype=torch.float32),
    "infinite": lambda rng, t: torch.full_like(t, float("inf"), dtype=torch.float32),
    "double": lambda rng, t: torch.full_like(t, 1e300, dtype=torch.float64),
    "sparse": lambda rng, t: t.to_sparse() if t.ndim else t,
    "quantised": lambda rng, t: torch.quantize_per_tensor(t.float(), 0.1, 0, torch.qint8),
    "parameter": lambda rng, t: torch.nn.Parameter(t.float()),
    "on meta": lambda rng, t: t.to("meta"),
    "conjugate": lambda rng, t: t.to(torch.complex64).conj(),
    "list": lambda rng, t: [1.0],
    "none": lambda rng, t: None,
    "view": lambda rng, t: torch.zeros(10_000)[: t.numel()].reshape(t.shape),
}
NAMES = (
    "transformer.h.99999999.x", "transformer.h.99999999.attn.c_attn.weight",
    "encoder.h.99999999.attn.c_attn.weight", "blocks.99999999.norm1.weight",
    "transformer.99999999.attention.q_net.weight",
    "_gpt2._transformer.99999999._attention._q.weight",
    "transformer.h.1.x", "blocks.1.x", "", "module.x", "a\x00b", "é", "x" * 10_000,
    "transformer.h.٣.x", "blocks." + "9" * 5000 + ".x",
)  # fmt: skip


def _sizes(rng: random.Random, tensor: Tensor) -> tuple[int, ...]:
    return tuple(rng.choice((s, s, 10**5, 10**9)) for s in tensor.shape) or (10**9,)


def mutate(rng: random.Random, document: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """A copy of what ``torch.load`` gave, changed in one place."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # quantised tensors and complex views have a lot to say
        return _mutate(rng, document)


def _mutate(rng: random.Random, document: dict[str, Any]) -> tuple[dict[str, Any], str]:
    document = dict(document)
    args = document.get("args")
    if isinstance(args, dict) and rng.random() < 0.6:
        odd = documents.edited(rng, args) if rng.random() < 0.9 else documents.odd(rng)
        document["args"] = documents.as_python(odd)
        return document, "args edit"
    inner = next((k for k in NESTED if isinstance(document.get(k), dict)), None)
    held = dict(document[inner]) if inner else document
    kind, name = rng.random(), rng.choice(list(held))
    if kind < 0.2:
        other = rng.choice(NAMES)
        held[other] = held.pop(name) if rng.random() < 0.5 else torch.zeros(2)
        way = f"name {other[:40]!r}"
    elif kind < 0.3:
        del held[name]
        way = f"without {name}"
    elif kind < 0.36:
        held[rng.choice((0, None, (1, 2), b"x", 1.5))] = torch.zeros(2)
        way = "a key that is no string"
    elif not isinstance(held[name], Tensor) or (inner and kind < 0.45):
        document[rng.choice(list(document))] = documents.as_python(documents.odd(rng))
        return document, "an entry"
    else:
        way = rng.choice(list(WAYS))
        held[name] = WAYS[way](rng, held[name])
        way = f"{way} {name}"
    if inner:
        document[inner] = held
        return document, way
    return held, way
