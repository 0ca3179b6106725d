"""How the contract of an export is put together."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from dt_runtime.contract import ActionSpec, Axis, Contract, StateSpec, TensorSpec

from dt_export.checkpoints.checkpoint import Checkpoint
from dt_export.graphs import Kind
from dt_export.version import __version__


def contract_of(
    checkpoint: Checkpoint,
    kind: Kind,
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
        graph=kind.name,
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
        inputs=fixed(kind.input_specs(config, context, precision)),
        outputs=fixed(kind.output_specs(config, outputs, context, precision)),
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
