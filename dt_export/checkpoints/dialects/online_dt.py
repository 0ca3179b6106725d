"""Dialect ``online-dt``: facebookresearch/online-dt, Zheng et al. 2022 (arXiv:2202.05607).

GPT-2 blocks without an embedding of time (or with ``embed_ordering``) under a squashed Gaussian:
its deterministic action is tanh(mu). Source of the facts: main.py and
decision_transformer/models/decision_transformer.py.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from dt_export.checkpoints import weights
from dt_export.checkpoints.checkpoint import Found, symmetric_bounds
from dt_export.checkpoints.contents import Contents
from dt_export.checkpoints.dialects import gpt2
from dt_export.checkpoints.reading import Document
from dt_export.checkpoints.settings import Settings
from dt_export.facts import Facts, Overrides
from dt_export.models.decision_transformer import DecisionTransformer, ModelConfig

ENCODER = "transformer"
SIGNATURE = ("transformer.h.0.attn.c_attn.weight", "predict_action.mu.weight")
DEAD = r"transformer\.(wte|wpe)\.weight|transformer\.h\.\d+\.attn\.(bias|masked_bias)"
DEAD += r"|embed_timestep\.weight|log_temperature"  # a table that its forward never looks at
LOOKED_FOR = "model.pt with model_state_dict and args, or predict_action.mu.weight"
FLAGS = ("stats",)
EPISODE = 1000  # MAX_EPISODE_LEN of main.py, where no table tells
INSIDE = 1.0 - 1e-6  # main.py draws the range of actions in by that much


def detect(contents: Contents) -> bool:
    gpt2_blocks = SIGNATURE[0] in contents.tensors
    return gpt2_blocks and (SIGNATURE[1] in contents.tensors or _args(contents) is not None)


def load(contents: Contents, overrides: Overrides) -> Found[DecisionTransformer]:
    """Read model.pt; its ``args`` tell heads, activation, the evaluation's K and the environment.

    Raises:
        CheckpointError: ``args`` lacks a key, or has a value of another type under it.
        UsageError: a flag contradicts ``args``.
    """
    tensors, file = contents.tensors, contents.file
    args = _args(contents)
    known = Document(args or {}, f"{file} (args)")
    settings = Settings(overrides, f"{file.name} (args)" if args else file.name)
    sizes = gpt2.sizes(tensors, ENCODER, file)
    stochastic = SIGNATURE[1] in tensors
    ordering = "embed_ordering.weight" in tensors
    table = next((n for n in ("embed_ordering", "embed_timestep") if f"{n}.weight" in tensors), "")
    config = ModelConfig(
        **sizes,
        n_head=settings.heads(
            sizes["hidden_size"], default=1, stated=known.integer("n_head") if args else None
        ),
        max_ep_len=weights.size(tensors, f"{table}.weight", 0, file) if table else EPISODE,
        activation=settings.activation(
            "relu", stated=known.text("activation_function") if args else None
        ),
        positions="timestep" if ordering else "none",
        action_tanh=settings.stated("action_tanh", True)
        if stochastic
        else settings.assumed("action_tanh", True),
        stochastic=stochastic,
    )
    names = gpt2.names(config.n_layer, ENCODER, f"predict_action.{'mu' if stochastic else '0'}")
    if stochastic:
        names |= weights.linear("predict_log_std", "predict_action.log_std")
    if ordering:
        names |= {"tokens.embed_timestep.weight": "embed_ordering.weight"}
    model = weights.build(
        partial(DecisionTransformer, config), tensors, names, file, dead=DEAD,
        transposed=gpt2.transposed(tensors),
    )  # fmt: skip
    return Found(model, _facts(known, config), file, notes=tuple(settings.notes))


def _args(contents: Contents) -> Mapping[str, Any] | None:
    """The training program's arguments; the key is one that only this program has."""
    args = contents.document.get("args") if isinstance(contents.document, dict) else None
    ours = isinstance(args, dict) and "eval_context_length" in args
    return Document.of(args, f"{contents.file} (args)").values if ours else None


def _facts(args: Document, config: ModelConfig) -> Facts:
    environment, target = args.text("env", None), args.number("eval_rtg", None)
    sparse = environment is not None and "antmaze" in environment
    return replace(
        symmetric_bounds(config, INSIDE),
        context_length=args.integer("eval_context_length", None),
        return_scale=(1.0 if sparse else 1000.0) if environment else None,
        target_returns=None if target is None else (target,),
        environment=environment,
    )
