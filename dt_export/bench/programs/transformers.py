"""The published way: transformers' model, loaded from a folder."""

from typing import Any

import torch
from transformers import DecisionTransformerModel


def first_action(given: dict[str, Any]) -> None:
    """``given``: path, threads."""
    torch.set_num_threads(given["threads"])
    model: Any = DecisionTransformerModel.from_pretrained(given["path"])
    model.eval()
    config = model.config
    with torch.no_grad():
        model(
            states=torch.zeros(1, 1, config.state_dim),
            actions=torch.zeros(1, 1, config.act_dim),
            returns_to_go=torch.zeros(1, 1, 1),
            timesteps=torch.zeros(1, 1, dtype=torch.int64),
            attention_mask=torch.ones(1, 1, dtype=torch.int64),
        )
