"""Dialect ``min-dt``: nikhilbarhate99/min-decision-transformer, with norms after its blocks.

A ``*_best.pt`` is a bare state dict; its masks tell the context length. Source of the facts:
decision_transformer/model.py.
"""

from dataclasses import replace
from functools import partial

from dt_export.checkpoints import weights
from dt_export.checkpoints.checkpoint import Found, symmetric_bounds
from dt_export.checkpoints.contents import Contents
from dt_export.checkpoints.settings import Settings
from dt_export.checkpoints.weights import Names, linear
from dt_export.facts import Overrides
from dt_export.models.decision_transformer import DecisionTransformer, ModelConfig

SIGNATURE = ("transformer.0.attention.q_net.weight", "embed_rtg.weight", "predict_rtg.weight")
DEAD = r"transformer\.\d+\.attention\.mask"
LOOKED_FOR = "a state dict with transformer.0.attention.q_net.weight and embed_rtg.weight"
FLAGS = ("n_head", "action_tanh", "stats", "return_scale")


def detect(contents: Contents) -> bool:
    return all(name in contents.tensors for name in SIGNATURE)


def load(contents: Contents, overrides: Overrides) -> Found[DecisionTransformer]:
    """Read a state dict; heads and the head's tanh come from flags or are assumed."""
    tensors, file = contents.tensors, contents.file
    settings = Settings(overrides, file.name)
    hidden = weights.size(tensors, "embed_state.weight", 0, file)
    config = ModelConfig(
        state_shape=(weights.size(tensors, "embed_state.weight", 1, file),),
        act_dim=weights.size(tensors, "embed_action.weight", 1, file),
        hidden_size=hidden,
        n_layer=weights.count(tensors, r"transformer\.(\d+)\.", file),
        n_head=settings.heads(hidden, default=1),
        n_inner=weights.size(tensors, "transformer.0.mlp.0.weight", 0, file),
        max_ep_len=weights.size(tensors, "embed_timestep.weight", 0, file),
        activation=settings.activation("gelu", stated="gelu"),
        action_tanh=settings.assumed("action_tanh", True),
        norm_first=False,
        final_norm=False,
    )
    names = _names(config.n_layer)
    model = weights.build(partial(DecisionTransformer, config), tensors, names, file, dead=DEAD)
    tokens = weights.size(tensors, "transformer.0.attention.mask", 2, file)
    facts = replace(symmetric_bounds(config), context_length=tokens // 3)
    return Found(model, facts, file, notes=tuple(settings.notes))


def _names(n_layer: int) -> Names:
    found = linear("tokens.embed_return", "embed_rtg") | linear("tokens.embed_ln", "embed_ln")
    found |= linear("tokens.embed_state", "embed_state")
    found |= linear("tokens.embed_action", "embed_action")
    found |= {"tokens.embed_timestep.weight": "embed_timestep.weight"}
    for i in range(n_layer):
        ours, theirs = f"blocks.{i}", f"transformer.{i}"
        found |= linear(f"{ours}.ln_1", f"{theirs}.ln1") | linear(f"{ours}.ln_2", f"{theirs}.ln2")
        queries = tuple(f"{theirs}.attention.{part}_net" for part in "qkv")
        found |= linear(f"{ours}.attn.qkv", queries)
        found |= linear(f"{ours}.attn.proj", f"{theirs}.attention.proj_net")
        found |= linear(f"{ours}.fc", f"{theirs}.mlp.0") | linear(f"{ours}.proj", f"{theirs}.mlp.2")
    found |= linear("predict_return", "predict_rtg") | linear("predict_state", "predict_state")
    return found | linear("predict_action", "predict_action.0")
