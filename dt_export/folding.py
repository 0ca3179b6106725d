"""Weights rewritten so that the same numbers cost fewer products.

Every rewriting here is exact in real numbers; sums are made in float64 and rounded once. What is
folded: the attention scale into the query, three linear embeddings into one, and with a single
head the query with the key and the value with the output projection. All dialects but online-dt
and atari have a single head by default.
"""

import copy

import torch
from torch import Tensor, nn

from dt_export.model import Block, DecisionTransformer, ModelConfig


class FoldedAttention(nn.Module):
    """A block's attention, from its normed input to what is added to the residual.

    With one head, scores are q·k = (Wq x + bq)·(Wk y + bk). Terms without y are the same for all
    keys and leave the softmax as it is; the rest is ((Wk'Wq) x + Wk' bq)·y. So the query absorbs
    the key's weights and the keys are the normed inputs themselves. As a row of the softmax sums
    to one, sum_i w_i (Wo (Wv y_i + bv) + bo) = (Wo Wv) sum_i w_i y_i + (Wo bv + bo): the values
    are the normed inputs too, and one product after the sum replaces value and output projection.

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

    def split(self, x: Tensor, tokens: int) -> Tensor:
        """By row and head: [R * tokens, H] -> [R, N, tokens, D]; ``tokens`` is a constant."""
        if self.single:
            return x.view(-1, 1, tokens, self.size)
        return x.view(-1, tokens, self.heads, self.size).transpose(1, 2)

    def attend(self, query: Tensor, memory: tuple[Tensor, ...], mask: Tensor) -> Tensor:
        """What is added to the residual: [R, N, Q, D], memory [R, N, L, D] -> [R * Q, H]."""
        key, value = memory[0], memory[-1]
        weights = (query @ key.transpose(-2, -1) + mask).softmax(dim=-1)  # [R, N, Q, L]
        mixed = weights @ value
        if not self.single:
            mixed = mixed.transpose(1, 2)
        return self.output(mixed.reshape(-1, self.heads * self.size))


class JointEmbedding(nn.Module):
    """Linear embeddings of return, state and action as one product, and the time added once."""

    def __init__(self, model: DecisionTransformer):
        super().__init__()
        tokens = model.tokens
        parts = (tokens.embed_return, tokens.embed_state, tokens.embed_action)
        weight = torch.block_diag(*(part.weight for part in parts))
        self.linear = linear(weight, torch.cat([part.bias for part in parts]))
        self.embed_timestep = tokens.embed_timestep

    def embed(
        self,
        states: Tensor,
        actions: Tensor,
        returns_to_go: Tensor,
        timesteps: Tensor,
        real: Tensor,
    ) -> Tensor:
        inputs = torch.cat((returns_to_go, states, actions), dim=2)
        x = self.linear(inputs.flatten(0, 1))  # [B * T, 3H]
        x = x.unflatten(0, (inputs.shape[0], -1)).unflatten(2, (3, -1))  # [B, T, 3, H]
        if self.embed_timestep is not None:
            x = x + self.embed_timestep(timesteps).unsqueeze(2)
        return x.flatten(1, 2)


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


def by_index(model: DecisionTransformer) -> nn.Module:
    """The token embedding with discrete actions as indices: a one-hot product picks a row."""
    config = model.config
    if not config.discrete or config.index_actions:
        return model.tokens
    tokens = copy.deepcopy(model.tokens)
    embed = tokens.embed_action
    table = (embed.weight.T + embed.bias).detach()
    tokens.embed_action = nn.Embedding.from_pretrained(table)
    return tokens


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A linear map with these weights [out, in] and biases [out], in float32."""
    made = nn.Linear(weight.shape[1], weight.shape[0])
    made.weight.data = weight.detach().to(torch.float32).clone()
    made.bias.data = bias.detach().to(torch.float32).clone()
    return made
