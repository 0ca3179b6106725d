"""Dialect ``huggingface``: what DecisionTransformerModel.save_pretrained writes.

Source of the facts: transformers, models/decision_transformer/modeling_decision_transformer.py.
"""

import json
import re
from pathlib import Path

from torch import Tensor

from dt_export import reading, sidecars
from dt_export.checkpoints import weights
from dt_export.checkpoints.checkpoint import Found
from dt_export.errors import CheckpointError, UsageError
from dt_export.facts import Facts, Overrides
from dt_export.model import ACTIVATIONS, DecisionTransformer, ModelConfig

MODEL_TYPE = "decision_transformer"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
NEEDED = ("state_dim", "act_dim", "hidden_size", "n_layer", "n_head", "max_ep_len")
# Tables that the model never reads, buffers of old versions, and unused cross-attention.
DEAD = (
    r"encoder\.(wte|wpe)\.weight|encoder\.h\.\d+\.(crossattention|ln_cross_attn)\..*"
    r"|encoder\.h\.\d+\.attn\.(bias|masked_bias)"
)
LOOKED_FOR = "a directory with config.json of model_type decision_transformer and model.safetensors"


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
    file = next((path / name for name in WEIGHTS if (path / name).is_file()), None)
    if file is None:
        raise CheckpointError(f"{path} has config.json but neither {' nor '.join(WEIGHTS)}")
    tensors, notes = reading.float32(reading.read_state_dict(file))

    model = DecisionTransformer(config)
    names = tensor_names(config.n_layer)
    weights.refuse_leftovers(tensors, names.values(), DEAD, file)
    conv1d = {name for name in names.values() if re.search(r"\.c_\w+\.weight$", name)}
    weights.assign(model, _with_position(tensors), names, file, transposed=conv1d)
    bounds = (1.0,) * config.act_dim if config.action_tanh else None
    own = Facts(action_low=bounds and tuple(-x for x in bounds), action_high=bounds)
    return Found(
        model=model.eval(),
        facts=sidecars.beside(path).over(own),
        sha256=reading.sha256(file),
        notes=tuple(notes),
    )


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
    config = ModelConfig(
        state_shape=(document["state_dim"],),
        act_dim=document["act_dim"],
        hidden_size=hidden,
        n_layer=document["n_layer"],
        n_head=heads,
        n_inner=document.get("n_inner") or 4 * hidden,
        max_ep_len=document["max_ep_len"],
        activation=activation,
        layer_norm_epsilon=document.get("layer_norm_epsilon", 1e-5),
        action_tanh=document.get("action_tanh", True),
        scale_attn_weights=document.get("scale_attn_weights", True),
        scale_attn_by_inverse_layer_idx=document.get("scale_attn_by_inverse_layer_idx", False),
    )
    for key in ("n_head", "activation", "action_tanh"):
        flag, stated = getattr(overrides, key), getattr(config, key)
        if flag is not None and flag != stated:
            raise UsageError(
                f"--{key.replace('_', '-')} says {flag}, but {file} says {stated}: drop the flag"
            )
    return config


def tensor_names(n_layer: int) -> dict[str, str]:
    """Our parameter names to Hugging Face's."""
    parts = ("embed_return", "embed_state", "embed_action", "embed_ln")
    names = {f"tokens.{part}": part for part in parts}
    for i in range(n_layer):
        ours, theirs = f"blocks.{i}", f"encoder.h.{i}"
        names |= {f"{ours}.ln_1": f"{theirs}.ln_1", f"{ours}.ln_2": f"{theirs}.ln_2"}
        names |= {f"{ours}.attn.qkv": f"{theirs}.attn.c_attn"}
        names |= {f"{ours}.attn.proj": f"{theirs}.attn.c_proj"}
        names |= {f"{ours}.fc": f"{theirs}.mlp.c_fc", f"{ours}.proj": f"{theirs}.mlp.c_proj"}
    names |= {"ln_f": "encoder.ln_f", "predict_state": "predict_state"}
    names |= {"predict_action": "predict_action.0", "predict_return": "predict_return"}
    pairs = {
        f"{ours}.{kind}": f"{theirs}.{kind}"
        for ours, theirs in names.items()
        for kind in ("weight", "bias")
    }
    return pairs | {"tokens.embed_timestep.weight": "embed_timestep.weight"}


def _with_position(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Move the position embedding into the norm before it.

    The original's position ids are always zero, so one row of ``wpe`` is added to every token
    after ``embed_ln``: it belongs to the norm's bias.
    """
    position, bias = tensors.get("encoder.wpe.weight"), tensors.get("embed_ln.bias")
    if position is None or bias is None or position.shape[1:] != bias.shape:
        return tensors
    return tensors | {"embed_ln.bias": bias + position[0]}
