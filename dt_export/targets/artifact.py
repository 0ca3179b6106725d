"""What an export makes, and how a contract is put together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dt_runtime.contract import ActionSpec, Axis, Contract, StateSpec, TensorSpec
from dt_runtime.engine import Engine

from dt_export.checkpoints import Checkpoint
from dt_export.graphs import BATCH, SEQUENCE, backbone, input_specs, output_specs, step
from dt_export.version import __version__

Run = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Opened:
    """An artifact that is ready to run: its contract and a function of named arrays.

    ``precision`` is what the graph itself counts in, whatever the contract says.
    """

    contract: Contract
    run: Run
    provider: str
    bound: Engine | None = None  # where the engine can run on the caller's own arrays
    precision: str = "fp32"

    @property
    def engine(self) -> Engine:
        """For a policy: the engine itself, or one that copies what ``run`` gives."""
        return self.bound or _Copying(self)


class _Copying:
    def __init__(self, opened: Opened):
        self.contract, self._run = opened.contract, opened.run

    def bind(
        self, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> Callable[[], None]:
        def run() -> None:
            for name, value in self._run(inputs).items():
                if name in outputs:
                    outputs[name][:] = value

        return run


@dataclass(frozen=True)
class Artifact:
    """A file that was written."""

    path: Path
    contract: Contract
    size: int  # bytes
    beside: Path | None = None  # of an .ort file: the list of operators that it needs


def contract_of(
    checkpoint: Checkpoint,
    graph: str,
    outputs: tuple[str, ...],
    producer: Mapping[str, Any],
    precision: str = "fp32",
    sizes: Mapping[str, int] | None = None,
) -> Contract:
    """The contract of an export, before anything was validated.

    ``sizes`` are axes that the file has fixed, by name.
    """
    config, facts = checkpoint.model.config, checkpoint.facts
    context, fixed = facts.context_length, partial(_fixed, sizes or {})
    return Contract(
        graph=graph,
        dialect=checkpoint.dialect,
        state=StateSpec(config.state_shape, mean=facts.state_mean, std=facts.state_std),
        action=ActionSpec(
            "discrete" if config.discrete else "continuous",
            config.act_dim,
            low=facts.action_low,
            high=facts.action_high,
            scale=facts.action_scale,
            offset=facts.action_offset,
        ),
        context_length=context,
        max_ep_len=config.max_ep_len - facts.first_timestep,
        inputs=fixed(input_specs(config, graph, context, precision)),
        outputs=fixed(output_specs(config, graph, outputs, context, precision)),
        precision=precision,
        first_timestep=facts.first_timestep,
        return_scale=facts.return_scale,
        target_returns=facts.target_returns or (),
        environment=facts.environment,
        source=checkpoint.source,
        producer={"dt_export": __version__, "torch": torch.__version__, **producer},
    )


def _fixed(sizes: Mapping[str, int], specs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    """Specs with the axes in numbers that these sizes determine."""
    return tuple(replace(s, shape=tuple(_axis(a, sizes) for a in s.shape)) for s in specs)


def _axis(axis: Axis, sizes: Mapping[str, int]) -> Axis:
    try:
        return TensorSpec("", "", (axis,)).sized(sizes)[0]
    except KeyError:
        return axis


EXAMPLE_SIZES = {BATCH: 2, SEQUENCE: 3, backbone.TOKENS: 3, backbone.PAST: 5, step.SLOTS: 3}


def example_inputs(contract: Contract) -> tuple[torch.Tensor, ...]:
    """Inputs to trace with. Sizes of 1 would be taken for constants, so they are larger."""
    tensors = []
    for spec in contract.inputs:
        make = torch.ones if spec.name == "attention_mask" else torch.zeros
        tensors.append(make(spec.sized(EXAMPLE_SIZES), dtype=getattr(torch, spec.dtype)))
    return tuple(tensors)
