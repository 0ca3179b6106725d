"""The ``backbone`` graph: the transformer alone, with a cache of keys and values.

The model itself is traced (see models/backbone.py).
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from dt_runtime.contract import Axis, Contract, TensorSpec
from torch import nn

from dt_export.checkpoints.checkpoint import Checkpoint
from dt_export.graphs.kind import BATCH, Kind, Units
from dt_export.graphs.trials import Arrays, Case, Runnable, Trial
from dt_export.models.backbone import OUTPUTS, Backbone
from dt_export.models.decision_transformer import ModelConfig

TOKENS, PAST, TOTAL = "tokens", "past", "past + tokens"
LENGTHS = (1, 2, 3, 7)  # new tokens; the graph is traced at 3 of them after 5 cached ones
PASTS = (0, 1, 5, 12)


def make(checkpoint: Checkpoint, names: tuple[str, ...], dtype: torch.dtype) -> nn.Module:
    return checkpoint.model


def input_specs(config: ModelConfig, context_length: int, dtype: str) -> tuple[TensorSpec, ...]:
    """Embedded tokens, and what was cached before them."""
    cache: tuple[Axis, ...] = (config.n_layer, BATCH, config.n_head, PAST, config.head_size)
    return (
        TensorSpec("inputs_embeds", "float32", (BATCH, TOKENS, config.hidden_size)),
        TensorSpec("attention_mask", "int64", (BATCH, TOTAL)),
        TensorSpec("position_ids", "int64", (BATCH, TOKENS)),
        TensorSpec("past_keys", "float32", cache),
        TensorSpec("past_values", "float32", cache),
    )


def output_specs(
    config: ModelConfig, names: tuple[str, ...], context_length: int, dtype: str
) -> tuple[TensorSpec, ...]:
    """Hidden states, and the cache with the new tokens at its end."""
    cache: tuple[Axis, ...] = (config.n_layer, BATCH, config.n_head, TOTAL, config.head_size)
    hidden: tuple[Axis, ...] = (BATCH, TOKENS, config.hidden_size)
    shapes = (hidden, cache, cache)
    return tuple(
        TensorSpec(name, "float32", shape) for name, shape in zip(OUTPUTS, shapes, strict=True)
    )


def choose(config: ModelConfig, outputs: tuple[str, ...]) -> tuple[str, ...]:
    return OUTPUTS


def sizes(contract: Contract) -> dict[str, int]:
    """No axis is ever fixed."""
    return {}


def trials(contract: Contract, config: ModelConfig) -> Iterator[Trial]:
    """New tokens after caches of every small length."""
    for case in cases(contract):
        yield Trial(case, OUTPUTS, partial(_play, case))


def cases(contract: Contract) -> Iterator[Case]:
    """``length`` counts cached and new tokens, ``padding`` those that are masked."""
    for batch in (1, 3):
        for cached in PASTS:
            for tokens in LENGTHS:
                total, group = cached + tokens, f"{cached} cached tokens, B = {batch}"
                if total <= contract.context_length:
                    yield Case(group, batch, total, cached=cached)
        yield Case(f"5 cached tokens, left padding, B = {batch}", batch, 8, padding=3, cached=5)


def inputs(contract: Contract, case: Case, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Fresh embeddings and caches."""
    tokens = case.length - case.cached
    mask = np.ones((case.batch, case.length), np.int64)
    mask[0, : case.padding] = 0
    drawn: dict[str, np.ndarray] = {"attention_mask": mask}
    drawn["position_ids"] = rng.integers(0, contract.context_length, (case.batch, tokens))
    for spec in contract.inputs:
        if spec.dtype == "float32":
            axes = {BATCH: case.batch, TOKENS: tokens, PAST: case.cached}
            drawn[spec.name] = rng.standard_normal(spec.sized(axes))
    return {spec.name: drawn[spec.name].astype(spec.dtype) for spec in contract.inputs}


def _play(
    case: Case, artifact: Runnable, rng: np.random.Generator
) -> Iterator[tuple[Case, Arrays, Arrays]]:
    arrays = inputs(artifact.contract, case, rng)
    yield case, arrays, artifact.run(arrays)


KIND = Kind(
    name="backbone",
    model=Backbone,
    units=Units.EMBEDDINGS,
    make=make,
    inputs=input_specs,
    outputs=output_specs,
    choose=choose,
    trials=trials,
    example={BATCH: 2, TOKENS: 3, PAST: 5},
    sizes=sizes,
    derived_axes=True,
)
