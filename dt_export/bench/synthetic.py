"""Checkpoints of any size with random weights, which both transformers and dt-export read."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

from dt_export.checkpoints import Checkpoint, load
from dt_export.errors import UsageError
from dt_export.facts import Overrides
from dt_export.models.decision_transformer import ModelConfig
from dt_export.process.quiet import quietly


@dataclass(frozen=True)
class Sizes:
    """Sizes of a synthetic model. Its inner size is four times the hidden size."""

    state_dim: int = 11
    act_dim: int = 3
    hidden_size: int = 128
    n_layer: int = 3
    n_head: int = 1
    max_ep_len: int = 1000


def like(config: ModelConfig) -> Sizes:
    """The sizes of a model, for synthetic ones that differ from it in one size.

    States that layers of their own encode, such as images, become a vector of the default size.
    """
    return Sizes(
        Sizes.state_dim if config.state_encoder else config.state_dim,
        config.act_dim,
        config.hidden_size,
        config.n_layer,
        config.n_head,
        config.max_ep_len,
    )


def check() -> None:
    """Raise UsageError if transformers, which writes the checkpoints, is not installed."""
    if find_spec("transformers") is None:
        raise UsageError("a sweep over sizes needs transformers: `pip install transformers`")


def synthetic(sizes: Sizes, context_length: int, folder: Path) -> Checkpoint:
    """Write a checkpoint into ``folder`` and load it. The same sizes always give the same weights.

    If the number of heads does not divide the hidden size, there is one head.

    Raises:
        UsageError: transformers, which writes it, is not installed.
    """
    check()
    from transformers import DecisionTransformerConfig, DecisionTransformerModel
    from transformers.utils import logging

    divides = sizes.hidden_size % sizes.n_head == 0
    config = DecisionTransformerConfig(
        state_dim=sizes.state_dim,
        act_dim=sizes.act_dim,
        hidden_size=sizes.hidden_size,
        n_layer=sizes.n_layer,
        n_head=sizes.n_head if divides else 1,
        max_ep_len=max(sizes.max_ep_len, context_length),
    )
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with quietly(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            DecisionTransformerModel(config).save_pretrained(folder)
    finally:
        if shown:
            logging.enable_progress_bar()
    overrides = Overrides(context_length=context_length, return_scale=1000.0, target_return=1000.0)
    return load(str(folder), overrides)
