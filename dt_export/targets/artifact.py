"""What an export makes, and how a contract is put together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dt_runtime.contract import ActionSpec, Contract, StateSpec

from dt_export import __version__
from dt_export.checkpoints import Checkpoint
from dt_export.graphs import input_specs, output_specs

Run = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Opened:
    """An artifact that is ready to run: its contract and a function of named arrays."""

    contract: Contract
    run: Run
    provider: str


@dataclass(frozen=True)
class Artifact:
    """A file that was written."""

    path: Path
    contract: Contract
    size: int  # bytes


def contract_of(
    checkpoint: Checkpoint, graph: str, outputs: tuple[str, ...], producer: Mapping[str, Any]
) -> Contract:
    """The contract of an export, before anything was validated."""
    config, facts = checkpoint.model.config, checkpoint.facts
    return Contract(
        graph=graph,
        dialect=checkpoint.dialect,
        state=StateSpec((config.state_dim,), mean=facts.state_mean, std=facts.state_std),
        action=ActionSpec(
            "continuous", config.act_dim, low=facts.action_low, high=facts.action_high
        ),
        context_length=facts.context_length,
        max_ep_len=config.max_ep_len,
        inputs=input_specs(config),
        outputs=output_specs(config, graph, outputs),
        return_scale=facts.return_scale,
        target_returns=facts.target_returns or (),
        environment=facts.environment,
        source=checkpoint.source,
        producer={"dt_export": __version__, "torch": torch.__version__, **producer},
    )


def example_inputs(
    checkpoint: Checkpoint, batch: int = 2, sequence: int = 3
) -> tuple[torch.Tensor, ...]:
    """Inputs to trace with. Sizes of 1 would be taken for constants, so they are larger."""
    config = checkpoint.model.config
    window = (batch, sequence)
    return (
        torch.zeros(*window, config.state_dim),
        torch.zeros(*window, config.act_dim),
        torch.zeros(*window, 1),
        torch.zeros(window, dtype=torch.int64),
        torch.ones(window, dtype=torch.int64),
    )
