"""The ``policy`` graph: raw observations and returns-to-go in, the last raw action out."""

import copy
from collections.abc import Iterator

import torch
from dt_runtime.contract import Contract, TensorSpec
from torch import Tensor, nn

from dt_export.checkpoints.checkpoint import Checkpoint
from dt_export.facts import Settled
from dt_export.graphs import windows
from dt_export.graphs.folding import (
    JointEmbedding,
    all_linear,
    by_index,
    cast_layers,
    fold,
    layers,
)
from dt_export.graphs.kind import BATCH, Kind, Units
from dt_export.graphs.trials import Trial
from dt_export.graphs.units import Head, InputNormaliser
from dt_export.models.decision_transformer import DecisionTransformer, ModelConfig, token_mask
from dt_export.options import ONNX_PRECISIONS

TOKEN_ORDER = ("return", "state", "action")
LOWEST = -1e30  # added to a score, leaves no trace of it in a softmax with any real one
LOWEST_HALF = -3e4  # the same in float16, which ends at 65504


class PolicyGraph(nn.Module):
    """The last action of a window, exactly, for less work than the whole forward pass.

    What it saves: the state and return heads; the last action token, which nothing reads; in the
    last layer everything but what attention looks at, save for the last state token; and all that
    folding.py folds. Tokens stay two-dimensional, [B * L, H] without the last action token, so
    that a linear map is one Gemm.
    """

    def __init__(
        self,
        model: DecisionTransformer,
        facts: Settled,
        outputs: tuple[str, ...],
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__()
        config = model.config
        self.model, self.dtype = model, dtype
        self.lowest = LOWEST if dtype == torch.float32 else LOWEST_HALF
        self.joint = JointEmbedding(model, facts, TOKEN_ORDER) if all_linear(config) else None
        self.normaliser, self.tokens = InputNormaliser(facts), by_index(model)
        self.attentions = fold(model)
        self.head = Head(model, facts, outputs)
        cast_layers(model, self.attentions, dtype)

    def forward(
        self,
        states: Tensor,  # [B, T, S] raw
        actions: Tensor,  # [B, T, A] raw, or [B, T] indices; the last one is not read
        returns_to_go: Tensor | None,  # [B, T, 1] raw
        timesteps: Tensor,  # [B, T] int64
        attention_mask: Tensor,  # [B, T] int64; the last column is 1
    ) -> tuple[Tensor, ...]:
        batch = states.shape[0]
        if self.joint is None:
            real = token_mask(attention_mask, self.model.config.tokens_per_step)
            states, actions, returns_to_go = self.normaliser(states, actions, returns_to_go)
            tokens = self.tokens.embed(  # [B, L + 1, H]
                states, actions, returns_to_go, timesteps, real
            )
        else:
            tokens = self.joint(states, actions, returns_to_go)  # [B * T, 3H]
            tokens = tokens.view(-1, 3, self.model.config.hidden_size)
            if self.model.tokens.embed_timestep is not None:
                time = self.model.tokens.embed_timestep(timesteps)  # [B, T, H]
                tokens = tokens + time.view(-1, 1, self.model.config.hidden_size)
            tokens = tokens.view(batch, -1, self.model.config.hidden_size)
        tokens = tokens[:, :-1].flatten(0, 1)
        x = self.model.tokens.embed_ln(tokens).to(self.dtype)  # [B * L, H]
        hidden = self.last_hidden(x, self.mask(attention_mask, batch), batch)
        outputs: tuple[Tensor, ...] = self.head(hidden.to(torch.float32))
        return outputs

    def mask(self, attention_mask: Tensor, batch: int) -> Tensor:
        """What is added to the scores: [B, T] -> [B, 1, L, L].

        A token never looks ahead. What is padding is merely so low that no real token notices it:
        its own rows, which nobody reads, would be all -inf otherwise, and not a number after that.
        """
        per_step = self.model.config.tokens_per_step
        length = per_step * attention_mask.shape[1] - 1
        ahead = torch.full((length, length), float("-inf"), dtype=self.dtype).triu(1)
        padding = torch.where(attention_mask == 0, self.lowest, 0.0).to(self.dtype)
        padding = torch.stack((padding,) * per_step, dim=2).flatten(1)  # [B, L + 1]
        return ahead + padding[:, None, None, :-1]

    def last_hidden(self, x: Tensor, mask: Tensor, batch: int) -> Tensor:
        """The last state token after the last layer: [B * L, H] -> [B, H]."""
        model, config = self.model, self.model.config
        for layer, (block, attention) in enumerate(layers(model, self.attentions)):
            normed = block.attention_input(x)
            memory = tuple(attention.split(y, batch, -1) for y in attention.memory(normed))
            if layer == config.n_layer - 1:  # nothing reads its other tokens
                x, normed = (y.view(batch, -1, config.hidden_size)[:, -1] for y in (x, normed))
                query, mask = attention.split(attention.query(normed), -1, 1), mask[:, :, -1:]
            else:
                query = attention.split(attention.query(normed), batch, -1)
            x = block.after_attention(x, attention.attend(query, memory, mask))
        last: Tensor = model.ln_f(x)
        return last


def make(checkpoint: Checkpoint, names: tuple[str, ...], dtype: torch.dtype) -> nn.Module:
    model = checkpoint.model
    assert isinstance(model, DecisionTransformer)
    if dtype != torch.float32:  # layers are cast in place
        model = copy.deepcopy(model)
    graph = PolicyGraph(model, checkpoint.facts, names, dtype)
    return windows.with_the_inputs_of(model.config, graph)


def input_specs(config: ModelConfig, context_length: int, dtype: str) -> tuple[TensorSpec, ...]:
    """A window of any length, with discrete actions as indices, whatever the network was fed."""
    return windows.input_specs(config, by_index=config.index_actions or config.discrete)


def output_specs(
    config: ModelConfig, names: tuple[str, ...], context_length: int, dtype: str
) -> tuple[TensorSpec, ...]:
    """Each [B, A]."""
    return tuple(TensorSpec(name, "float32", (BATCH, config.act_dim)) for name in names)


def choose(config: ModelConfig, outputs: tuple[str, ...]) -> tuple[str, ...]:
    """The action, or the logits of a discrete one."""
    return ("logits" if config.discrete else "action",)


def trials(contract: Contract, config: ModelConfig) -> Iterator[Trial]:
    return windows.trials(contract, raw=True)


KIND = Kind(
    name="policy",
    model=DecisionTransformer,
    units=Units.RAW,
    make=make,
    inputs=input_specs,
    outputs=output_specs,
    choose=choose,
    trials=trials,
    example=windows.EXAMPLE,
    sizes=windows.sizes,
    precisions=ONNX_PRECISIONS,
    floats=windows.floats,
)
