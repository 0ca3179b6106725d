"""The ``sequence`` graph: the network as it was trained.

A drop-in for transformers' DecisionTransformerModel: normalised inputs, all predictions.
"""

from collections.abc import Iterator

import torch
from dt_runtime.contract import Axis, Contract, TensorSpec
from torch import Tensor, nn

from dt_export.checkpoints.checkpoint import Checkpoint
from dt_export.errors import UsageError
from dt_export.graphs import windows
from dt_export.graphs.kind import BATCH, GAUSSIAN, SEQUENCE, Kind, Units
from dt_export.graphs.trials import Trial
from dt_export.models.decision_transformer import DecisionTransformer, ModelConfig

EXTRA_OUTPUTS = ("last_hidden_state", "hidden_states", "attentions")
ALL = ("all",)  # what --outputs says for every output there is


class SequenceGraph(nn.Module):
    """The model's forward pass with the outputs that were asked for, in that order."""

    def __init__(self, model: DecisionTransformer, outputs: tuple[str, ...]):
        super().__init__()
        self.model, self.outputs = model, outputs

    def forward(
        self,
        states: Tensor,
        actions: Tensor,
        returns_to_go: Tensor | None,
        timesteps: Tensor,
        attention_mask: Tensor,
    ) -> tuple[Tensor, ...]:
        out = self.model(states, actions, timesteps, attention_mask, returns_to_go)
        values = (getattr(out, name) for name in self.outputs)
        return tuple(torch.stack(v) if isinstance(v, tuple) else v for v in values)


def make(checkpoint: Checkpoint, names: tuple[str, ...], dtype: torch.dtype) -> nn.Module:
    """The network with these outputs; ``dtype`` is float32."""
    model = checkpoint.model
    assert isinstance(model, DecisionTransformer)
    return windows.with_the_inputs_of(model.config, SequenceGraph(model, names))


def input_specs(config: ModelConfig, context_length: int, dtype: str) -> tuple[TensorSpec, ...]:
    """A window of any length, with actions as the network was fed."""
    return windows.input_specs(config, by_index=config.index_actions)


def output_specs(
    config: ModelConfig, names: tuple[str, ...], context_length: int, dtype: str
) -> tuple[TensorSpec, ...]:
    """Predictions for every timestep, and what stands in every token."""
    hidden, layers, heads, size = config.hidden_size, config.n_layer, config.n_head, config.act_dim
    tokens = token_axis(config)
    shapes: dict[str, tuple[Axis, ...]] = {
        **dict.fromkeys(("action_preds", *GAUSSIAN), (BATCH, SEQUENCE, size)),
        "state_preds": (BATCH, SEQUENCE, config.state_dim),
        "return_preds": (BATCH, SEQUENCE, 1),
        "last_hidden_state": (BATCH, tokens, hidden),
        "hidden_states": (layers + 1, BATCH, tokens, hidden),
        "attentions": (layers, BATCH, heads, tokens, tokens),
    }
    return tuple(TensorSpec(name, "float32", shapes[name]) for name in names)


def token_axis(config: ModelConfig) -> str:
    """The name of the axis of tokens, ``3*sequence`` in most dialects."""
    return f"{config.tokens_per_step}*{SEQUENCE}"


def choose(config: ModelConfig, outputs: tuple[str, ...]) -> tuple[str, ...]:
    """What was asked for, or all predictions.

    Raises:
        UsageError: there is no output of that name, or this model does not have it.
    """
    has = {"state_preds": config.predicts_state, "return_preds": config.predicts_return}
    predictions = tuple(
        name for name in ("state_preds", "action_preds", "return_preds") if has.get(name, True)
    )
    known = (*predictions, *(GAUSSIAN if config.stochastic else ()), *EXTRA_OUTPUTS)
    if outputs == ALL:
        return known
    for name in outputs:
        if name not in known:
            raise UsageError(f"--outputs has {name!r}, expected some of {', '.join(known)}, or all")
    return outputs or predictions


def trials(contract: Contract, config: ModelConfig) -> Iterator[Trial]:
    """Windows of more than K too, where positions reach that far."""
    return windows.trials(contract, raw=False, longer=config.window is None)


KIND = Kind(
    name="sequence",
    model=DecisionTransformer,
    units=Units.NORMALISED,
    make=make,
    inputs=input_specs,
    outputs=output_specs,
    choose=choose,
    trials=trials,
    example=windows.EXAMPLE,
    sizes=windows.sizes,
    chooses_outputs=True,
    floats=windows.floats,
)
