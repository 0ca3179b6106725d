"""Dialect ``huggingface``: what DecisionTransformerModel.save_pretrained writes.

Source of the facts: transformers, models/decision_transformer/modeling_decision_transformer.py.
"""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import Tensor

from dt_export.checkpoints import reading, sidecars, weights
from dt_export.checkpoints.checkpoint import Found, symmetric_bounds
from dt_export.checkpoints.dialects import gpt2
from dt_export.checkpoints.reading import Document
from dt_export.checkpoints.settings import Settings
from dt_export.errors import CheckpointError
from dt_export.facts import SMALLEST, Facts, Overrides
from dt_export.models.backbone import Backbone
from dt_export.models.decision_transformer import ACTIVATIONS, DecisionTransformer, ModelConfig

MODEL_TYPE = "decision_transformer"
ENCODER = "encoder"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
SIGNATURE = ("encoder.h.0.attn.c_attn.weight", "embed_timestep.weight", "predict_action.0.weight")
# Tables that the model never reads, buffers of old versions, and unused cross-attention.
DEAD = (
    r"encoder\.(wte|wpe)\.weight|encoder\.h\.\d+\.(crossattention|ln_cross_attn)\..*"
    r"|encoder\.h\.\d+\.attn\.(bias|masked_bias)"
)
LOOKED_FOR = "a directory with config.json of model_type decision_transformer and model.safetensors"
FLAGS = ("stats", "return_scale", "target_return", "discrete")


def detect(path: Path) -> bool:
    config = path / "config.json"
    if not config.is_file():
        return False
    try:
        return reading.read_json(config).get("model_type") == MODEL_TYPE
    except CheckpointError:
        return any((path / name).is_file() for name in WEIGHTS)  # then load says what is wrong


def load(path: Path, overrides: Overrides) -> Found[DecisionTransformer]:
    """Read a directory.

    Raises:
        CheckpointError: a file, key or tensor is missing, or shapes contradict config.json.
        UsageError: a flag contradicts config.json.
    """
    config = _config(path / "config.json", overrides)
    file, tensors, notes = _weights(path)
    _check_layers(config, tensors, f"{ENCODER}.", file)
    names = gpt2.names(config.n_layer, ENCODER)
    names |= {"tokens.embed_timestep.weight": "embed_timestep.weight"}
    model = weights.build(
        partial(DecisionTransformer, config), _with_position(tensors, file), names, file, dead=DEAD,
        transposed=gpt2.transposed(tensors),
    )  # fmt: skip
    return Found(model, symmetric_bounds(config), file, notes=tuple(notes))


def load_backbone(path: Path, overrides: Overrides) -> Found[Backbone]:
    """Read the transformer alone, from its own checkpoint or out of a whole Decision Transformer.

    Raises: as ``load`` does.
    """
    config = _config(path / "config.json", overrides)
    file, tensors, notes = _weights(path)
    whole = any(name.startswith(f"{ENCODER}.") for name in tensors)
    prefix = f"{ENCODER}." if whole else ""
    _check_layers(config, tensors, prefix, file)
    names = gpt2.blocks(config.n_layer, prefix) | {"wpe.weight": f"{prefix}wpe.weight"}
    rows = weights.size(tensors, f"{prefix}wpe.weight", 0, file)
    config = replace(config, state_shape=(), act_dim=0, max_ep_len=rows)
    # Of a whole model everything but the blocks is left aside.
    rest = rf"(?!{ENCODER}\.h\.).*" if whole else r"wte\.weight"
    buffers = r"(encoder\.)?h\.\d+\.(crossattention\..*|ln_cross_attn\..*|attn\.(masked_)?bias)"
    dead = f"{rest}|{buffers}"
    model = weights.build(
        partial(Backbone, config, rows),
        tensors,
        names,
        file,
        dead=dead,
        transposed=gpt2.transposed(tensors),
    )
    return Found(model, Facts(), file, notes=tuple(notes))


def _weights(path: Path) -> tuple[Path, dict[str, Tensor], list[str]]:
    file = next((path / name for name in WEIGHTS if (path / name).is_file()), None)
    if file is None:
        raise CheckpointError(f"{path} has config.json but neither {' nor '.join(WEIGHTS)}")
    return file, *reading.float32(reading.read_state_dict(file), file)


def _check_layers(config: ModelConfig, tensors: dict[str, Tensor], prefix: str, file: Path) -> None:
    """Before a name is made up for each tensor of each layer that config.json promises."""
    layers = weights.count(tensors, rf"{re.escape(prefix)}h\.(\d+)\.", file)
    if layers != config.n_layer:
        raise CheckpointError(
            f"{file} has {layers} layers, and config.json says n_layer {config.n_layer}"
        )


def _config(file: Path, overrides: Overrides) -> ModelConfig:
    document = Document(reading.read_json(file), str(file))
    hidden, heads = document.integer("hidden_size"), document.integer("n_head")
    if hidden % heads:
        raise CheckpointError(f"{file}: n_head is {heads}, which does not divide {hidden}")
    activation = document.text("activation_function", "relu")
    if activation not in ACTIVATIONS:
        raise CheckpointError(
            f"{file}: activation_function is {activation!r}, expected one of "
            f"{', '.join(ACTIVATIONS)}"
        )
    settings = Settings(overrides, str(file))
    discrete = sidecars.says_discrete(file.parent, overrides.discrete)
    return ModelConfig(
        state_shape=(document.integer("state_dim"),),
        act_dim=document.integer("act_dim"),
        hidden_size=hidden,
        n_layer=document.integer("n_layer"),
        n_head=settings.stated("n_head", heads),
        n_inner=document.integer("n_inner", 4 * hidden),
        max_ep_len=document.integer("max_ep_len"),
        activation=settings.stated("activation", activation),
        layer_norm_epsilon=document.number("layer_norm_epsilon", 1e-5, above=SMALLEST),
        action_tanh=settings.stated("action_tanh", document.flag("action_tanh", True)),
        discrete=discrete,
        scale_attn_weights=document.flag("scale_attn_weights", True),
        scale_attn_by_inverse_layer_idx=document.flag("scale_attn_by_inverse_layer_idx", False),
    )


def _with_position(tensors: dict[str, Tensor], file: Path) -> dict[str, Tensor]:
    """Move the position embedding into the norm before it.

    The original's position ids are always zero, so one row of ``wpe`` is added to every token
    after ``embed_ln``: it belongs to the norm's bias.
    """
    bias = weights.of_shape(tensors, "embed_ln.bias", (None,), file)
    position = weights.of_shape(tensors, "encoder.wpe.weight", (None, len(bias)), file)
    return tensors | {"embed_ln.bias": bias + position[0]}
