"""Weights rewritten so that the same numbers cost fewer products.

Every rewriting here is exact in real numbers; sums are made in float64 and rounded once. What is
folded: the attention scale into the query, three linear embeddings and the scales of their inputs
into one, and with a single head the key into the query and the value into the output projection.
Most published Decision Transformers have a single head.
"""

import copy
from typing import cast

import torch
from torch import Tensor, nn

from dt_export.facts import Settled
from dt_export.models.decision_transformer import (
    Block,
    DecisionTransformer,
    ModelConfig,
    TokenEmbedding,
)

Numbers = tuple[float, ...] | None
UNSEEN = 70.0  # a score so far below the best weighs exp(-70), nothing in float32 beside 1


class FoldedAttention(nn.Module):
    """A block's attention, from its normed input to what is added to the residual.

    With one head, scores are q·k = (Wq x + bq)·(Wk y + bk). Terms without y are the same for all
    keys and leave the softmax as it is; the rest is ((Wk'Wq) x + Wk' bq)·y. So the query absorbs
    the key's weights and the keys are the normed inputs themselves. As a row of the softmax sums
    to one, sum_i w_i (Wo (Wv y_i + bv) + bo) = (Wo Wv) sum_i w_i y_i + (Wo bv + bo): the values
    are the normed inputs too, and one product after the sum replaces value and output projection.

    Scores are held to at most UNSEEN below the best, which changes no result: the exponential of
    less is a subnormal number, which processors are slow at (3 % of a whole policy).

    With several heads that would cost more, not less, and keys and values stay as they are.

    What is looked at is called memory: per token one tensor with one head, else key and value.
    """

    def __init__(self, block: Block, config: ModelConfig):
        super().__init__()
        self.heads, self.size = config.n_head, config.head_size
        (query, key, value), (query_bias, key_bias, value_bias) = (
            parameter.detach().double().chunk(3)
            for parameter in (block.attn.qkv.weight, block.attn.qkv.bias)
        )
        query, query_bias = query * block.attn.scale, query_bias * block.attn.scale
        output = block.attn.proj.weight.detach().double()
        output_bias = block.attn.proj.bias.detach().double()
        self.single = self.heads == 1
        if self.single:
            self.query = linear(key.T @ query, key.T @ query_bias)
            self.output = linear(output @ value, output @ value_bias + output_bias)
        else:
            self.query, self.key = linear(query, query_bias), linear(key, key_bias)
            self.value, self.output = linear(value, value_bias), linear(output, output_bias)

    def memory(self, x: Tensor) -> tuple[Tensor, ...]:
        """What later tokens look at: normed inputs [M, H] -> one or two of [M, H]."""
        return (x,) if self.single else (self.key(x), self.value(x))

    def split(self, x: Tensor, rows: int, tokens: int) -> Tensor:
        """By row and head: [R * L, H] -> [R, N, L, D]; one of both numbers is -1, to be found."""
        if self.single:
            return x.view(rows, 1, tokens, self.size)
        return x.view(rows, tokens, self.heads, self.size).transpose(1, 2)

    def flat(self, x: Tensor) -> Tensor:
        """Memory one head after another: [M, H] -> [M * N, D]."""
        return x if self.single else x.reshape(-1, self.size)

    def attend(self, query: Tensor, memory: tuple[Tensor, ...], mask: Tensor) -> Tensor:
        """What is added to the residual: [R, N, Q, D], memory [R, N, L, D] -> [R * Q, H]."""
        key, value = memory[0], memory[-1]
        scores = query @ key.transpose(-2, -1) + mask  # [R, N, Q, L]
        scores = torch.maximum(scores, scores.amax(dim=-1, keepdim=True) - UNSEEN)
        weights = scores.softmax(dim=-1)
        mixed = weights @ value
        if not self.single:
            mixed = mixed.transpose(1, 2)
        added: Tensor = self.output(mixed.reshape(-1, self.heads * self.size))
        return added


def fold(model: DecisionTransformer) -> nn.ModuleList:
    """The folded attention of every block."""
    return nn.ModuleList(FoldedAttention(block, model.config) for block in model.layers())


def layers(
    model: DecisionTransformer, attentions: nn.ModuleList
) -> list[tuple[Block, FoldedAttention]]:
    """Every block with its folded attention, by their types, which a ModuleList forgets."""
    folded = cast(list[FoldedAttention], list(attentions))
    return list(zip(model.layers(), folded, strict=True))


class JointEmbedding(nn.Module):
    """Linear embeddings of raw inputs as one product, in the order of the tokens that is asked for.

    Standard deviations and scales are in the weights. Means are taken off first, as in training:
    inside the bias they would cost digits where a mean is large beside its deviation.
    """

    def __init__(self, model: DecisionTransformer, facts: Settled, order: tuple[str, ...]):
        super().__init__()
        tokens, config = model.tokens, model.config
        self.order = order
        kinds: dict[str, tuple[int, nn.Module | None, Numbers, Numbers]] = {
            "return": (1, tokens.embed_return, None, (facts.return_scale,)),
            "state": (config.state_dim, tokens.embed_state, facts.state_mean, facts.state_std),
            "action": (
                config.act_dim,
                tokens.embed_action,
                facts.action_offset,
                facts.action_scale,
            ),
        }
        weights, biases, offsets = [], [], []
        for size, part, offset, scale in (kinds[name] for name in order):
            assert isinstance(part, nn.Linear), "see all_linear"
            divisor = torch.tensor(scale or (1.0,) * size, dtype=torch.float64)
            weights.append(part.weight.detach().double() / divisor)
            biases.append(part.bias.detach().double())
            offsets.append(torch.tensor(offset or (0.0,) * size))
        self.linear = linear(torch.block_diag(*weights), torch.cat(biases))
        means = torch.cat(offsets)
        self.offset: Tensor | None
        self.register_buffer("offset", means if means.any() else None)

    def forward(self, states: Tensor, actions: Tensor, returns_to_go: Tensor) -> Tensor:
        """Any leading axes, M rows in all: -> [M, 3H]."""
        given = {"return": returns_to_go, "state": states, "action": actions}
        x = torch.cat([given[name] for name in self.order], dim=-1)
        if self.offset is not None:
            x = x - self.offset
        tokens: Tensor = self.linear(x.flatten(0, -2))
        return tokens


def all_linear(config: ModelConfig) -> bool:
    """Whether return, state and action are embedded by linear maps and nothing more."""
    return (
        config.returns
        and not config.state_encoder
        and config.token_activation is None
        and not config.discrete
        and not config.index_actions
        and config.positions in ("timestep", "none")
    )


def by_index(model: DecisionTransformer) -> TokenEmbedding:
    """The token embedding with discrete actions as indices: a one-hot product picks a row."""
    config = model.config
    if not config.discrete or config.index_actions:
        return model.tokens
    tokens = copy.deepcopy(model.tokens)
    embed = tokens.embed_action
    assert isinstance(embed, nn.Linear), "index_actions would be set"
    table = (embed.weight.T + embed.bias).detach()
    tokens.embed_action = nn.Embedding.from_pretrained(table)
    return tokens


def cast_layers(model: DecisionTransformer, attentions: nn.ModuleList, dtype: torch.dtype) -> None:
    """Cast the layers of a graph to ``dtype``, in place; embedding and head stay as they are."""
    if dtype != torch.float32:
        for part in (model.blocks, attentions, model.ln_f):
            part.to(dtype)


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A linear map with these weights [out, in] and biases [out], in float32."""
    made = nn.Linear(weight.shape[1], weight.shape[0])
    made.weight.data = weight.detach().to(torch.float32).clone()
    made.bias.data = bias.detach().to(torch.float32).clone()
    return made
