"""The eager reference: a Decision Transformer that reads like the paper.

Chen et al. 2021, "Decision Transformer: Reinforcement Learning via Sequence Modeling"
(arXiv:2106.01345), Algorithm 1. Every timestep is three tokens, in this order: the
return-to-go, the state, the action. A causal transformer reads them; the state's token
predicts the action, the action's token predicts the next state and the next return.

Shapes in the comments: B batch, T timesteps, L = 3T tokens, H hidden size, S state size,
A action size, N heads, D = H / N.
"""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ACTIVATIONS = {
    "relu": F.relu,
    "silu": F.silu,
    "swish": F.silu,
    "gelu": F.gelu,
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
    "tanh": torch.tanh,
}


@dataclass(frozen=True)
class ModelConfig:
    """Everything that changes the numbers; where a checkpoint says more, it is dead weight."""

    state_dim: int
    act_dim: int
    hidden_size: int
    n_layer: int
    n_head: int
    n_inner: int
    max_ep_len: int  # rows of the timestep table: the largest timestep is max_ep_len - 1
    activation: str = "relu"
    layer_norm_epsilon: float = 1e-5  # of the blocks and of ln_f
    embed_norm_epsilon: float = 1e-5  # of embed_ln
    action_tanh: bool = True
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.n_head

    def attention_scale(self, layer: int) -> float:
        """The factor on query-key products in a layer, counted from 0."""
        scale = self.head_size**-0.5 if self.scale_attn_weights else 1.0
        return scale / (layer + 1) if self.scale_attn_by_inverse_layer_idx else scale


@dataclass(frozen=True)
class ModelOutput:
    """What a forward pass gives; the names are those of Hugging Face."""

    state_preds: Tensor  # [B, T, S]
    action_preds: Tensor  # [B, T, A]
    return_preds: Tensor  # [B, T, 1]
    last_hidden_state: Tensor  # [B, L, H], after ln_f
    hidden_states: tuple[Tensor, ...]  # n_layer + 1 of [B, L, H], the last one after ln_f
    attentions: tuple[Tensor, ...]  # n_layer of [B, N, L, L], rows sum to one


class TokenEmbedding(nn.Module):
    """Three linear maps and a table of timesteps; the three tokens of a timestep share its row."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.embed_return = nn.Linear(1, config.hidden_size)
        self.embed_state = nn.Linear(config.state_dim, config.hidden_size)
        self.embed_action = nn.Linear(config.act_dim, config.hidden_size)
        self.embed_timestep = nn.Embedding(config.max_ep_len, config.hidden_size)
        self.embed_ln = nn.LayerNorm(config.hidden_size, eps=config.embed_norm_epsilon)

    def forward(
        self, states: Tensor, actions: Tensor, returns_to_go: Tensor, timesteps: Tensor
    ) -> Tensor:
        time = self.embed_timestep(timesteps)  # [B, T, H]
        tokens = (self.embed_return(returns_to_go), self.embed_state(states))
        tokens = (*tokens, self.embed_action(actions))
        tokens = torch.stack([token + time for token in tokens], dim=2)  # [B, T, 3, H]
        return self.embed_ln(tokens.flatten(1, 2))  # [B, L, H]


class Attention(nn.Module):
    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        self.n_head = config.n_head
        self.scale = config.attention_scale(layer)
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        def heads(y: Tensor) -> Tensor:  # [B, L, H] -> [B, N, L, D]
            return y.unflatten(2, (self.n_head, -1)).transpose(1, 2)

        query, key, value = (heads(y) for y in self.qkv(x).chunk(3, dim=-1))
        scores = query @ key.transpose(2, 3) * self.scale + mask  # [B, N, L, L]
        weights = scores.softmax(dim=-1)
        return self.proj((weights @ value).transpose(1, 2).flatten(2)), weights


class Block(nn.Module):
    """GPT-2's block: the norm comes before the attention and before the perceptron."""

    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.attn = Attention(config, layer)
        self.ln_2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.fc = nn.Linear(config.hidden_size, config.n_inner)
        self.proj = nn.Linear(config.n_inner, config.hidden_size)
        self.activation = ACTIVATIONS[config.activation]

    def mlp(self, x: Tensor) -> Tensor:
        return self.proj(self.activation(self.fc(self.ln_2(x))))

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        attended, weights = self.attn(self.ln_1(x), mask)
        x = x + attended
        return x + self.mlp(x), weights


class DecisionTransformer(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.tokens = TokenEmbedding(config)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.predict_state = nn.Linear(config.hidden_size, config.state_dim)
        self.predict_action = nn.Linear(config.hidden_size, config.act_dim)
        self.predict_return = nn.Linear(config.hidden_size, 1)

    def act(self, hidden: Tensor) -> Tensor:
        """The action read from a state token: [..., H] -> [..., A]."""
        action = self.predict_action(hidden)
        return action.tanh() if self.config.action_tanh else action

    def forward(
        self,
        states: Tensor,  # [B, T, S], normalised
        actions: Tensor,  # [B, T, A]
        returns_to_go: Tensor,  # [B, T, 1], divided by the return scale
        timesteps: Tensor,  # [B, T] int64, in 0 .. max_ep_len - 1
        attention_mask: Tensor,  # [B, T] int64, 1 for a real timestep and 0 for padding
    ) -> ModelOutput:
        x = self.tokens(states, actions, returns_to_go, timesteps)
        mask = causal_mask(token_mask(attention_mask), x.dtype)
        hidden_states, attentions = [x], []
        for block in self.blocks:
            x, weights = block(x, mask)
            hidden_states.append(x)
            attentions.append(weights)
        x = hidden_states[-1] = self.ln_f(x)

        _, state, action = x.unflatten(1, (-1, 3)).unbind(2)  # [B, T, H] each
        return ModelOutput(
            state_preds=self.predict_state(action),
            action_preds=self.act(state),
            return_preds=self.predict_return(action),
            last_hidden_state=x,
            hidden_states=tuple(hidden_states),
            attentions=tuple(attentions),
        )


def token_mask(attention_mask: Tensor) -> Tensor:
    """Which tokens are real: [B, T] -> [B, L] bool; the three tokens of a timestep go together."""
    return (attention_mask != 0).unsqueeze(2).expand(-1, -1, 3).flatten(1)


def causal_mask(real: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to the scores: 0 where a token may look, -inf where not; [B, 1, L, L].

    ``real`` is [B, L] bool. A token always sees itself, so that rows of padding stay finite;
    real tokens never see padding.
    """
    index = torch.arange(real.shape[1], device=real.device)
    past = index[None, :] < index[:, None]  # [L, L]
    itself = index[None, :] == index[:, None]
    visible = (past & real[:, None, :]) | itself  # [B, L, L]
    return torch.zeros_like(visible, dtype=dtype).masked_fill(~visible, float("-inf"))[:, None]
