"""Dialect ``corl``: CORL's single-file Decision Transformer.

``dt_checkpoint.pt`` holds weights and statistics, ``config.yaml`` beside it the rest. Source of the
facts: CORL, algorithms/offline/dt.py.
"""

from dataclasses import replace
from functools import partial
from os.path import lexists
from pathlib import Path

from dt_export.checkpoints import reading, weights
from dt_export.checkpoints.checkpoint import Found, symmetric_bounds
from dt_export.checkpoints.contents import Contents
from dt_export.checkpoints.reading import Document
from dt_export.checkpoints.settings import Settings
from dt_export.checkpoints.weights import Names, linear
from dt_export.facts import SMALLEST, Facts, Overrides
from dt_export.models.decision_transformer import DecisionTransformer, ModelConfig

SIGNATURE = ("blocks.0.attention.in_proj_weight", "timestep_emb.weight", "action_head.0.weight")
DEAD = r"blocks\.\d+\.causal_mask"
LOOKED_FOR = "dt_checkpoint.pt with model_state, or blocks.0.attention.in_proj_weight"
FLAGS = ("n_head", "return_scale")  # where config.yaml is missing
CONFIG = "config.yaml"


def detect(contents: Contents) -> bool:
    return all(name in contents.tensors for name in SIGNATURE)


def load(contents: Contents, overrides: Overrides) -> Found[DecisionTransformer]:
    """Read the checkpoint, and config.yaml where it is there.

    Raises:
        CheckpointError: config.yaml has a value that cannot be.
        UsageError: a flag contradicts config.yaml.
    """
    tensors, file = contents.tensors, contents.file
    document = _config(contents.directory / CONFIG)
    settings = Settings(overrides, CONFIG if document.values else file.name)
    hidden = weights.size(tensors, "state_emb.weight", 0, file)
    config = ModelConfig(
        state_shape=(weights.size(tensors, "state_emb.weight", 1, file),),
        act_dim=weights.size(tensors, "action_emb.weight", 1, file),
        hidden_size=hidden,
        n_layer=weights.count(tensors, r"blocks\.(\d+)\.", file),
        n_head=settings.heads(hidden, default=1, stated=document.integer("num_heads", None)),
        n_inner=weights.size(tensors, "blocks.0.mlp.0.weight", 0, file),
        max_ep_len=weights.size(tensors, "timestep_emb.weight", 0, file),
        activation=settings.activation("gelu", stated="gelu"),
        action_tanh=settings.stated("action_tanh", True),
        action_scale=document.number("max_action", 1.0, above=SMALLEST),
        predicts_state=False,
        predicts_return=False,
    )
    model = weights.build(
        partial(DecisionTransformer, config), tensors, _names(config.n_layer), file, dead=DEAD
    )
    facts = _facts(contents, document, config)
    return Found(model, facts, file, notes=tuple(settings.notes))


def _facts(contents: Contents, document: Document, config: ModelConfig) -> Facts:
    file, known = contents.file, Document(contents.document, contents.file.name)
    scale = document.number("reward_scale", None, above=0)  # the original multiplies rewards by it
    tokens = weights.size(contents.tensors, "blocks.0.causal_mask", 0, file)
    return replace(
        symmetric_bounds(config),
        context_length=tokens // 3,
        return_scale=1.0 / scale if scale else None,
        state_mean=known.numbers("state_mean", None),
        state_std=known.numbers("state_std", None),
        target_returns=document.numbers("target_returns", None) or None,
        environment=document.text("env_name", None),
    )


def _config(path: Path) -> Document:
    values = reading.read_yaml(path) if lexists(path) else {}
    return Document.of(values, CONFIG)


def _names(n_layer: int) -> Names:
    found = linear("tokens.embed_return", "return_emb") | linear("tokens.embed_state", "state_emb")
    found |= linear("tokens.embed_action", "action_emb") | linear("tokens.embed_ln", "emb_norm")
    found |= {"tokens.embed_timestep.weight": "timestep_emb.weight"}
    for i in range(n_layer):
        block = f"blocks.{i}"
        found |= linear(f"{block}.ln_1", f"{block}.norm1") | linear(
            f"{block}.ln_2", f"{block}.norm2"
        )
        found |= {
            f"{block}.attn.qkv.{kind}": f"{block}.attention.in_proj_{kind}"
            for kind in ("weight", "bias")
        }
        found |= linear(f"{block}.attn.proj", f"{block}.attention.out_proj")
        found |= linear(f"{block}.fc", f"{block}.mlp.0") | linear(f"{block}.proj", f"{block}.mlp.2")
    return found | linear("ln_f", "out_norm") | linear("predict_action", "action_head.0")
