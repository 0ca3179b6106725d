"""The ``backbone`` graph: the transformer alone, with a cache of keys and values.

The model itself is traced (see models/backbone.py).
"""

from dt_runtime.contract import Axis, TensorSpec

from dt_export.models.decision_transformer import ModelConfig

GRAPH = "backbone"
BATCH, TOKENS, PAST, TOTAL = "batch", "tokens", "past", "past + tokens"
OUTPUTS = ("last_hidden_state", "present_keys", "present_values")


def input_specs(config: ModelConfig) -> tuple[TensorSpec, ...]:
    cache = (config.n_layer, BATCH, config.n_head, PAST, config.head_size)
    return (
        TensorSpec("inputs_embeds", "float32", (BATCH, TOKENS, config.hidden_size)),
        TensorSpec("attention_mask", "int64", (BATCH, TOTAL)),
        TensorSpec("position_ids", "int64", (BATCH, TOKENS)),
        TensorSpec("past_keys", "float32", cache),
        TensorSpec("past_values", "float32", cache),
    )


def output_specs(config: ModelConfig) -> tuple[TensorSpec, ...]:
    cache: tuple[Axis, ...] = (config.n_layer, BATCH, config.n_head, TOTAL, config.head_size)
    hidden: tuple[Axis, ...] = (BATCH, TOKENS, config.hidden_size)
    shapes = (hidden, cache, cache)
    return tuple(
        TensorSpec(name, "float32", shape) for name, shape in zip(OUTPUTS, shapes, strict=True)
    )
