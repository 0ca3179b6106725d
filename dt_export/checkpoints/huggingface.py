"""Dialect ``huggingface``: what DecisionTransformerModel.save_pretrained writes.

Source of the facts: transformers, models/decision_transformer/modeling_decision_transformer.py.
"""

import json
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from dt_export import reading, sidecars
from dt_export.backbone import Backbone
from dt_export.checkpoints import gpt2, weights
from dt_export.checkpoints.checkpoint import Found, symmetric_bounds
from dt_export.checkpoints.settings import Settings
from dt_export.errors import CheckpointError
from dt_export.facts import Facts, Overrides
from dt_export.model import ACTIVATIONS, DecisionTransformer, ModelConfig

MODEL_TYPE = "decision_transformer"
ENCODER = "encoder"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
NEEDED = ("state_dim", "act_dim", "hidden_size", "n_layer", "n_head", "max_ep_len")
SIGNATURE = ("encoder.h.0.attn.c_attn.weight", "embed_timestep.weight", "predict_action.0.weight")
# Tables that the model never reads, buffers of old versions, and unused cross-attention.
DEAD = (
    r"encoder\.(wte|wpe)\.weight|encoder\.h\.\d+\.(crossattention|ln_cross_attn)\..*"
    r"|encoder\.h\.\d+\.attn\.(bias|masked_bias)"
)
LOOKED_FOR = "a directory with config.json of model_type decision_transformer and model.safetensors"
FLAGS = "--stats --return-scale --target-return --discrete"


def detect(path: Path) -> bool:
    config = path / "config.json"
    if not config.is_file():
        return False
    try:
        return json.loads(config.read_text(encoding="utf-8")).get("model_type") == MODEL_TYPE
    except (ValueError, AttributeError):
        return any((path / name).is_file() for name in WEIGHTS)  # then load says what is wrong


def load(path: Path, overrides: Overrides) -> Found:
    """Read a directory.

    Raises:
        CheckpointError: a file, key or tensor is missing, or shapes contradict config.json.
        UsageError: a flag contradicts config.json.
    """
    config = _config(path / "config.json", overrides)
    file, tensors, notes = _weights(path)
    names = gpt2.names(config.n_layer, ENCODER)
    names |= {"tokens.embed_timestep.weight": "embed_timestep.weight"}
    model = weights.build(
        DecisionTransformer(config), _with_position(tensors), names, file, dead=DEAD,
        transposed=gpt2.transposed(tensors),
    )  # fmt: skip
    return Found(model, symmetric_bounds(config), file, notes=tuple(notes))


def load_backbone(path: Path, overrides: Overrides) -> Found:
    """Read the transformer alone, from its own checkpoint or out of a whole Decision Transformer.

    Raises: as ``load`` does.
    """
    config = _config(path / "config.json", overrides)
    file, tensors, notes = _weights(path)
    whole = any(name.startswith(f"{ENCODER}.") for name in tensors)
    prefix = f"{ENCODER}." if whole else ""
    names = gpt2.blocks(config.n_layer, prefix) | {"wpe.weight": f"{prefix}wpe.weight"}
    rows = weights.size(tensors, f"{prefix}wpe.weight", 0, file)
    config = replace(config, state_shape=(), act_dim=0, max_ep_len=rows)
    # Of a whole model everything but the blocks is left aside.
    rest = rf"(?!{ENCODER}\.h\.).*" if whole else r"wte\.weight"
    buffers = r"(encoder\.)?h\.\d+\.(crossattention\..*|ln_cross_attn\..*|attn\.(masked_)?bias)"
    dead = f"{rest}|{buffers}"
    model = weights.build(
        Backbone(config, rows), tensors, names, file, dead=dead, transposed=gpt2.transposed(tensors)
    )
    return Found(model, Facts(), file, notes=tuple(notes))


def _weights(path: Path) -> tuple[Path, dict[str, Tensor], list[str]]:
    file = next((path / name for name in WEIGHTS if (path / name).is_file()), None)
    if file is None:
        raise CheckpointError(f"{path} has config.json but neither {' nor '.join(WEIGHTS)}")
    return file, *reading.float32(reading.read_state_dict(file))


def _config(file: Path, overrides: Overrides) -> ModelConfig:
    document = reading.read_json(file)
    for key in NEEDED:
        if key not in document:
            raise CheckpointError(f"{file} has no key {key!r}; needed: {', '.join(NEEDED)}")
        if not isinstance(document[key], int) or document[key] < 1:
            raise CheckpointError(f"{file}: {key} is {document[key]!r}, expected an integer >= 1")
    hidden, heads = document["hidden_size"], document["n_head"]
    if hidden % heads:
        raise CheckpointError(f"{file}: n_head is {heads}, which does not divide {hidden}")
    activation = document.get("activation_function", "relu")
    if activation not in ACTIVATIONS:
        raise CheckpointError(
            f"{file}: activation_function is {activation!r}, expected one of "
            f"{', '.join(ACTIVATIONS)}"
        )
    settings = Settings(overrides, str(file))
    discrete = sidecars.says_discrete(file.parent, overrides.discrete)
    return ModelConfig(
        state_shape=(document["state_dim"],),
        act_dim=document["act_dim"],
        hidden_size=hidden,
        n_layer=document["n_layer"],
        n_head=settings.stated("n_head", heads),
        n_inner=document.get("n_inner") or 4 * hidden,
        max_ep_len=document["max_ep_len"],
        activation=settings.stated("activation", activation),
        layer_norm_epsilon=document.get("layer_norm_epsilon", 1e-5),
        action_tanh=settings.stated("action_tanh", document.get("action_tanh", True)),
        discrete=discrete,
        scale_attn_weights=document.get("scale_attn_weights", True),
        scale_attn_by_inverse_layer_idx=document.get("scale_attn_by_inverse_layer_idx", False),
    )


def _with_position(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Move the position embedding into the norm before it.

    The original's position ids are always zero, so one row of ``wpe`` is added to every token
    after ``embed_ln``: it belongs to the norm's bias.
    """
    position, bias = tensors.get("encoder.wpe.weight"), tensors.get("embed_ln.bias")
    if position is None or bias is None or position.shape[1:] != bias.shape:
        return tensors
    return tensors | {"embed_ln.bias": bias + position[0]}
