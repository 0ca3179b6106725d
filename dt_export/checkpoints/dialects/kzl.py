"""Dialect ``kzl``: the gym half of kzl/decision-transformer, the paper's own code.

Its users save ``model.state_dict()``, so the file has shapes and nothing else. Source of the
facts: gym/decision_transformer/models/decision_transformer.py and gym/experiment.py.
"""

from functools import partial

from dt_export.checkpoints import sidecars, weights
from dt_export.checkpoints.checkpoint import Found, symmetric_bounds
from dt_export.checkpoints.contents import Contents
from dt_export.checkpoints.dialects import gpt2
from dt_export.checkpoints.settings import Settings
from dt_export.facts import Overrides
from dt_export.models.decision_transformer import DecisionTransformer, ModelConfig

ENCODER = "transformer"
SIGNATURE = (
    "transformer.h.0.attn.c_attn.weight",
    "embed_timestep.weight",
    "predict_action.0.weight",
)
DEAD = r"transformer\.(wte|wpe)\.weight|transformer\.h\.\d+\.attn\.(bias|masked_bias)"
LOOKED_FOR = "a state dict with transformer.h.0.attn.c_attn.weight and embed_timestep.weight"
FLAGS = (
    "n_head", "activation", "action_tanh", "discrete", "context_length", "stats", "return_scale",
)  # fmt: skip


def detect(contents: Contents) -> bool:
    return all(name in contents.tensors for name in SIGNATURE)


def load(contents: Contents, overrides: Overrides) -> Found[DecisionTransformer]:
    """Read a state dict; heads, activation and the head's tanh come from flags or are assumed."""
    tensors, file = contents.tensors, contents.file
    settings = Settings(overrides, file.name)
    sizes = gpt2.sizes(tensors, ENCODER, file)
    discrete = sidecars.says_discrete(contents.directory, overrides.discrete)
    config = ModelConfig(
        **sizes,
        n_head=settings.heads(sizes["hidden_size"], default=1),
        max_ep_len=weights.size(tensors, "embed_timestep.weight", 0, file),
        activation=settings.activation("relu"),
        action_tanh=settings.assumed("action_tanh", not discrete),
        discrete=discrete,
    )
    names = gpt2.names(config.n_layer, ENCODER)
    names |= {"tokens.embed_timestep.weight": "embed_timestep.weight"}
    model = weights.build(
        partial(DecisionTransformer, config), tensors, names, file, dead=DEAD,
        transposed=gpt2.transposed(tensors),
    )  # fmt: skip
    return Found(model, symmetric_bounds(config), file, notes=tuple(settings.notes))
