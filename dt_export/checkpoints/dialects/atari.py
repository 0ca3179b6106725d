"""Dialect ``atari``: the Atari half of kzl/decision-transformer, a minGPT over frames.

``reward_conditioned`` models read (return, state, action), ``naive`` ones (behaviour cloning)
state and action alone. Source of the facts: atari/mingpt/model_atari.py and
atari/run_dt_atari.py.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from dt_export.checkpoints import weights
from dt_export.checkpoints.checkpoint import Found, symmetric_bounds
from dt_export.checkpoints.contents import Contents
from dt_export.checkpoints.settings import Settings
from dt_export.checkpoints.weights import Names, linear
from dt_export.errors import CheckpointError
from dt_export.facts import Overrides
from dt_export.models.decision_transformer import DecisionTransformer, ModelConfig

SIGNATURE = ("global_pos_emb", "pos_emb", "state_encoder.0.weight", "action_embeddings.0.weight")
DEAD = r"tok_emb\.weight|blocks\.\d+\.attn\.mask"
LOOKED_FOR = "a minGPT state dict with global_pos_emb and state_encoder.0.weight"
FLAGS = ("n_head", "returns", "target_return")
FRAME = (84, 84)
# Layers with weights in the original's Sequential encoder, which is ours but for its last tanh.
LAYERS = (0, 2, 4, 7)


def detect(contents: Contents) -> bool:
    return all(name in contents.tensors for name in SIGNATURE)


def load(contents: Contents, overrides: Overrides) -> Found[DecisionTransformer]:
    """Read a state dict.

    ``ret_emb`` is there in both model types, so which one it is comes from ``--no-returns`` or is
    assumed to be ``reward_conditioned``. Returns are clipped game scores, divided by nothing.

    Raises:
        CheckpointError: position tables of an odd shape.
    """
    tensors, file = contents.tensors, contents.file
    settings = Settings(overrides, file.name)
    hidden = weights.size(tensors, "action_embeddings.0.weight", 1, file)
    tokens = weights.of_shape(tensors, "pos_emb", (1, None, hidden), file).shape[1]
    steps = weights.of_shape(tensors, "global_pos_emb", (1, None, hidden), file).shape[1]
    context, rest = divmod(tokens - 1, 3)
    if rest or context < 1:
        raise CheckpointError(
            f"{file}: pos_emb has shape {list(tensors['pos_emb'].shape)}, expected [1, 3 K + 1, "
            f"{hidden}] for a context length K"
        )
    returns = settings.assumed("returns", True)
    config = ModelConfig(
        state_shape=(weights.size(tensors, "state_encoder.0.weight", 1, file), *FRAME),
        act_dim=weights.size(tensors, "action_embeddings.0.weight", 0, file),
        hidden_size=hidden,
        n_layer=weights.count(tensors, r"blocks\.(\d+)\.", file),
        n_head=settings.heads(hidden, default=8),
        n_inner=weights.size(tensors, "blocks.0.mlp.0.weight", 0, file),
        max_ep_len=steps,
        activation=settings.activation("gelu", stated="gelu"),
        state_encoder=_encoder(tensors, hidden, file),
        frame_scale=255.0,
        index_actions=True,
        returns=returns,
        token_activation="tanh",
        positions="window",
        window=context,
        embed_norm=False,
        action_tanh=settings.stated("action_tanh", False),
        discrete=settings.stated("discrete", True),
        action_bias=False,
        predicts_state=False,
        predicts_return=False,
    )
    dead = DEAD if returns else rf"{DEAD}|ret_emb\.0\.(weight|bias)"
    names = _names(config)
    model = weights.build(
        partial(DecisionTransformer, config), _flat(tensors, config), names, file, dead=dead
    )
    facts = replace(symmetric_bounds(config), context_length=context, return_scale=1.0)
    return Found(model, facts, file, notes=tuple(settings.notes))


def _encoder(tensors: dict[str, Tensor], hidden: int, file: Path) -> tuple[tuple[Any, ...], ...]:
    """Mnih et al. 2015: three convolutions over a stack of frames."""
    channels = weights.size(tensors, "state_encoder.0.weight", 1, file)
    relu = ("activation", "relu")
    first, second, third = (
        ("conv", channels, 32, 8, 4),
        ("conv", 32, 64, 4, 2),
        ("conv", 64, 64, 3, 1),
    )
    return (first, relu, second, relu, third, relu, ("flatten",), ("linear", 64 * 7 * 7, hidden))


def _flat(tensors: dict[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """The position tables without their axis of one; a naive model uses the first rows alone."""
    rows = config.tokens_per_step * config.reach + 1
    return tensors | {
        "pos_emb": tensors["pos_emb"][0, :rows],
        "global_pos_emb": tensors["global_pos_emb"][0],
    }


def _names(config: ModelConfig) -> Names:
    found: Names = {
        "tokens.positions.tokens": "pos_emb",
        "tokens.positions.steps.weight": "global_pos_emb",
        "tokens.embed_action.weight": "action_embeddings.0.weight",
        "predict_action.weight": "head.weight",
    }
    if config.returns:
        found |= linear("tokens.embed_return", "ret_emb.0")
    for place in LAYERS:
        found |= linear(f"tokens.embed_state.layers.{place}", f"state_encoder.{place}")
    for i in range(config.n_layer):
        block = f"blocks.{i}"
        found |= linear(f"{block}.ln_1", f"{block}.ln1") | linear(f"{block}.ln_2", f"{block}.ln2")
        queries = tuple(f"{block}.attn.{part}" for part in ("query", "key", "value"))
        found |= linear(f"{block}.attn.qkv", queries)
        found |= linear(f"{block}.attn.proj", f"{block}.attn.proj")
        found |= linear(f"{block}.fc", f"{block}.mlp.0") | linear(f"{block}.proj", f"{block}.mlp.2")
    return found | linear("ln_f", "ln_f")
