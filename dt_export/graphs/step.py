"""The ``step`` graph: one new timestep against cached ones, so that work does not grow with K.

Attention looks back at what earlier tokens left behind; that is kept in caches, and a step adds
only the tokens of one timestep, in this order: the last action (with the timestep it was taken
at), the return-to-go, the state. A cache that began at timestep s is, at timestep t, exactly the
model on the window [s..t]. Several caches, called slots, begin at different timesteps; the caller
says by masks what each may look at, and which slot answers.

A cache is a ring: each timestep overwrites the oldest tokens at one position for all slots. Order
inside it does not matter, because no supported dialect gives a token a position in the window.

The last layer puts out one token, so only the slot that answers asks there, and its caches lie
end to end in one axis with a mask that shows this slot alone.

Shapes: B batch, G slots, R = B * G rows, P tokens of a timestep (3, or 2 without returns),
C = P * K positions in a cache, H hidden size, N heads, D = H / N.
"""

import copy
from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from dt_runtime import slots
from dt_runtime.contract import Axis, Contract, TensorSpec
from dt_runtime.slots import PAST, present
from torch import Tensor, nn

from dt_export.checkpoints.checkpoint import Checkpoint
from dt_export.errors import UsageError
from dt_export.facts import Settled
from dt_export.graphs import rollouts
from dt_export.graphs.cache import CacheWrite
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
from dt_export.models.decision_transformer import DecisionTransformer, ModelConfig
from dt_export.options import PRECISIONS

ROWS, SLOTS = "batch*slots", "slots"
TOKEN_ORDER = ("action", "return", "state")


class StepGraph(nn.Module):
    """One timestep in, the action and the caches with its tokens out.

    Inputs are positional, in the order of ``input_specs``, outputs the head's and then the caches.
    """

    def __init__(
        self,
        model: DecisionTransformer,
        facts: Settled,
        outputs: tuple[str, ...],
        inputs: tuple[str, ...],
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__()
        self.model, self.inputs, self.dtype, config = model, inputs, dtype, model.config
        self.joint = JointEmbedding(model, facts, TOKEN_ORDER) if all_linear(config) else None
        self.normaliser, self.tokens = InputNormaliser(facts), by_index(model)
        self.attentions = fold(model)
        self.head, self.write = Head(model, facts, outputs), CacheWrite()
        cast_layers(model, self.attentions, dtype)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(self.inputs, inputs, strict=True))
        model, config = self.model, self.model.config
        x = model.tokens.embed_ln(self.embed(given)).to(self.dtype)  # [R * P, H]
        names = cache_names(config)
        grown: list[Tensor] = []
        kept = len(names) // config.n_layer
        for layer, (block, attention) in enumerate(layers(model, self.attentions)):
            last = layer == config.n_layer - 1
            mask = given["last_attention_bias" if last else "attention_bias"].to(self.dtype)
            position = given["last_cache_indices" if last else "cache_indices"]
            normed = block.attention_input(x)
            memory = tuple(
                self.write(given[name], position, attention.flat(new))
                for name, new in zip(
                    names[layer * kept :][:kept], attention.memory(normed), strict=True
                )
            )
            grown += memory
            if last:  # one state token of each row of slots
                x, normed = (F.embedding(given["query_index"], y) for y in (x, normed))  # [B, H]
            tokens = 1 if last else config.tokens_per_step
            query = attention.split(attention.query(normed), -1, tokens)
            x = block.after_attention(x, attention.attend(query, memory, mask))
        return (*self.head(model.ln_f(x).to(torch.float32)), *grown)

    def embed(self, given: Mapping[str, Tensor]) -> Tensor:
        """The new tokens before the norm, [R * P, H]."""
        x: Tensor
        config, embed = self.model.config, self.tokens
        inputs = (given["states"], given["actions"], given.get("returns_to_go"))
        if self.joint is not None:
            x = self.joint(*inputs)  # [R, 3H]
        else:
            states, actions, returns_to_go = self.normaliser(*inputs)
            tokens = [embed.embed_action(actions), embed.embed_state(states[:, None])[:, 0]]
            if embed.embed_return is not None:
                tokens.insert(1, embed.embed_return(returns_to_go))
            if embed.activation is not None:
                tokens = [embed.activation(token) for token in tokens]
            x = torch.cat(tokens, dim=1)  # [R, P * H]
        x = x.view(-1, config.hidden_size)
        if embed.embed_timestep is not None:
            x = x + embed.embed_timestep(given["timesteps"])
        return x


def make(checkpoint: Checkpoint, names: tuple[str, ...], dtype: torch.dtype) -> nn.Module:
    model, facts = checkpoint.model, checkpoint.facts
    assert isinstance(model, DecisionTransformer)
    if dtype != torch.float32:  # layers are cast in place
        model = copy.deepcopy(model)
    specs = input_specs(model.config, facts.context_length)
    return StepGraph(model, facts, names, tuple(spec.name for spec in specs), dtype)


def choose(config: ModelConfig, outputs: tuple[str, ...]) -> tuple[str, ...]:
    """The action, or the logits of a discrete one.

    Raises:
        UsageError: nothing of a token can be kept, because it changes as the window moves.
    """
    if config.positions not in ("timestep", "none"):
        raise UsageError(
            "--graph step: the tokens of this model change as its window moves "
            f"(positions by {config.positions}) and cannot be cached; use --graph policy"
        )
    return ("logits" if config.discrete else "action",)


def cache_names(config: ModelConfig) -> tuple[str, ...]:
    """One tensor a layer with a single head, else keys and values."""
    kinds = ("hidden",) if config.n_head == 1 else ("keys", "values")
    return tuple(f"{PAST}{kind}_{layer}" for layer in range(config.n_layer) for kind in kinds)


def input_specs(
    config: ModelConfig, context_length: int, dtype: str = "float32"
) -> tuple[TensorSpec, ...]:
    """``dtype`` is that of the caches; the rest of what goes in does not depend on it."""
    per_step, heads = config.tokens_per_step, config.n_head
    positions = per_step * context_length
    tokens = f"{per_step}*{ROWS}"
    where: tuple[Axis, ...] = (tokens if heads == 1 else f"{per_step * heads}*{ROWS}", 3)
    actions = TensorSpec("actions", "float32", (ROWS, config.act_dim))
    discrete = config.discrete or config.index_actions
    specs = [
        TensorSpec("states", "uint8" if config.frames else "float32", (ROWS, *config.state_shape)),
        TensorSpec("actions", "int64", (ROWS,)) if discrete else actions,
        TensorSpec("returns_to_go", "float32", (ROWS, 1)),
        TensorSpec("timesteps", "int64", (tokens,)),
        TensorSpec("attention_bias", "float32", (ROWS, 1, per_step, positions)),
        TensorSpec("cache_indices", "int64", where),
        TensorSpec("last_attention_bias", "float32", (BATCH, 1, 1, f"{positions}*{SLOTS}")),
        TensorSpec("last_cache_indices", "int64", where),
        TensorSpec("query_index", "int64", (BATCH,)),
    ]
    absent = set()
    if not config.returns:
        absent.add("returns_to_go")
    if config.positions == "none":
        absent.add("timesteps")
    if config.n_layer == 1:
        absent |= {"attention_bias", "cache_indices"}
    caches = cache_specs(config, context_length, dtype)
    return (*(spec for spec in specs if spec.name not in absent), *caches)


def cache_specs(
    config: ModelConfig, context_length: int, dtype: str = "float32", out: bool = False
) -> tuple[TensorSpec, ...]:
    """Of inputs, or of outputs."""
    positions, heads, size = (
        config.tokens_per_step * context_length,
        config.n_head,
        config.head_size,
    )
    rows: tuple[Axis, ...] = (ROWS, heads, positions, size)
    answering: tuple[Axis, ...] = (BATCH, heads, f"{positions}*{SLOTS}", size)
    last = f"_{config.n_layer - 1}"
    return tuple(
        TensorSpec(
            present(name) if out else name, dtype, answering if name.endswith(last) else rows
        )
        for name in cache_names(config)
    )


def output_specs(
    config: ModelConfig, names: tuple[str, ...], context_length: int, dtype: str
) -> tuple[TensorSpec, ...]:
    """Each [B, A], then the caches with the new tokens in them."""
    heads = (TensorSpec(name, "float32", (BATCH, config.act_dim)) for name in names)
    return (*heads, *cache_specs(config, context_length, dtype, out=True))


def floats(config: ModelConfig, context_length: int) -> int:
    """The caches of the default number of slots."""
    positions = min(slots.DEFAULT, context_length) * config.tokens_per_step * context_length
    return positions * 2 * config.hidden_size * config.n_layer


def sizes(contract: Contract) -> dict[str, int]:
    """Rows and slots, where the file has fixed them."""
    shapes = {spec.name: spec.shape for spec in contract.inputs}
    batch, rows = shapes.get("query_index", ())[:1], shapes.get("states", ())[:1]
    if not batch or not isinstance(batch[0], int):
        return {}
    fixed = {BATCH: batch[0]}
    if rows and isinstance(rows[0], int):
        fixed[SLOTS] = rows[0] // max(1, batch[0])
    return fixed


def trials(contract: Contract, config: ModelConfig) -> Iterator[Trial]:
    return rollouts.trials(contract)


KIND = Kind(
    name="step",
    model=DecisionTransformer,
    units=Units.RAW,
    make=make,
    inputs=input_specs,
    outputs=output_specs,
    choose=choose,
    trials=trials,
    example={BATCH: 2, SLOTS: 3},
    sizes=sizes,
    precisions=PRECISIONS,
    stepwise=True,
    derived_axes=True,
    floats=floats,
)
