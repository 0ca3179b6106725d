"""The eager reference: a Decision Transformer that reads like the paper.

Chen et al. 2021, "Decision Transformer: Reinforcement Learning via Sequence Modeling"
(arXiv:2106.01345), Algorithm 1. Every timestep is three tokens, in this order: the
return-to-go, the state, the action. A causal transformer reads them; the state's token
predicts the action, the action's token predicts the next state and the next return.

The codebases that followed differ in few parts, and each difference is one field of the
configuration: how a state is encoded, where positions come from, what is normalised when, and
what the head puts out.

Shapes in the comments: B batch, T timesteps, L tokens (3T, or 2T without returns), H hidden size,
S state size, A action size, N heads, D = H / N.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "silu": F.silu,
    "swish": F.silu,
    "gelu": F.gelu,
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
    "tanh": torch.tanh,
    "none": lambda x: x,
}


@dataclass(frozen=True)
class ModelConfig:
    """Everything that changes the numbers; where a checkpoint says more, it is dead weight."""

    state_shape: tuple[int, ...]
    act_dim: int
    hidden_size: int
    n_layer: int
    n_head: int
    n_inner: int
    max_ep_len: int  # rows of the timestep table: the largest timestep is max_ep_len - 1
    activation: str = "relu"

    # Tokens
    state_encoder: tuple[tuple[Any, ...], ...] = ()  # layers; none for one linear map
    frame_scale: float | None = None  # states are uint8 images, divided by this
    index_actions: bool = False  # actions come in as indices and are looked up, not multiplied
    returns: bool = True  # False: behaviour cloning, two tokens a timestep
    token_activation: str | None = None  # what every embedding goes through
    positions: str = "timestep"  # timestep | window | from_end | none
    window: int | None = None  # timesteps that positions in a window reach
    embed_norm: bool = True
    embed_norm_epsilon: float = 1e-5

    # Blocks
    norm_first: bool = True
    layer_norm_epsilon: float = 1e-5  # of the blocks and of ln_f
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    final_norm: bool = True

    # Heads
    action_tanh: bool = True
    action_scale: float = 1.0  # what a tanh is multiplied by
    discrete: bool = False  # action_preds are logits
    action_bias: bool = True
    stochastic: bool = False  # a squashed Gaussian: mu and log_std
    log_std_bounds: tuple[float, float] = (-5.0, 2.0)
    predicts_state: bool = True
    predicts_return: bool = True

    @property
    def state_dim(self) -> int:
        return math.prod(self.state_shape)

    @property
    def frames(self) -> bool:
        return self.frame_scale is not None

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.n_head

    @property
    def tokens_per_step(self) -> int:
        return 3 if self.returns else 2

    @property
    def reach(self) -> int:
        """``window``, for positions that have one."""
        assert self.window is not None, f"positions by {self.positions} need a window"
        return self.window

    def attention_scale(self, layer: int) -> float:
        """The factor on query-key products in a layer, counted from 0."""
        scale = self.head_size**-0.5 if self.scale_attn_weights else 1.0
        return scale / (layer + 1) if self.scale_attn_by_inverse_layer_idx else scale


@dataclass(frozen=True)
class ModelOutput:
    """What a forward pass gives; the names are those of Hugging Face. None: no such head."""

    action_preds: Tensor  # [B, T, A]: actions, or logits where they are discrete
    state_preds: Tensor | None  # [B, T, S]
    return_preds: Tensor | None  # [B, T, 1]
    mu: Tensor | None  # [B, T, A], before the tanh
    log_std: Tensor | None  # [B, T, A]
    last_hidden_state: Tensor  # [B, L, H], after ln_f
    hidden_states: tuple[Tensor, ...]  # n_layer + 1 of [B, L, H], the last one after ln_f
    attentions: tuple[Tensor, ...]  # n_layer of [B, N, L, L], rows sum to one


class StateEncoder(nn.Module):
    """Layers one after another, as the configuration lists them."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.frame_scale = config.frame_scale
        self.layers = nn.ModuleList(_layer(*layer) for layer in config.state_encoder)

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def forward(self, states: Tensor) -> Tensor:  # [B, T, ...] -> [B, T, H]
        x = states.flatten(0, 1)
        if self.frame_scale is not None:
            x = x.to(self.dtype) / self.frame_scale
        for layer in self.layers:
            x = layer(x)
        encoded: Tensor = x.unflatten(0, states.shape[:2])
        return encoded


class Activation(nn.Module):
    def __init__(self, name: str):
        super().__init__()
        self.function = ACTIVATIONS[name]

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def _layer(kind: str, *sizes: Any) -> nn.Module:
    makers: dict[str, Callable[..., nn.Module]] = {
        "linear": nn.Linear,  # inputs, outputs
        "conv": nn.Conv2d,  # channels in, channels out, kernel, stride
        "flatten": nn.Flatten,
        "layer_norm": nn.LayerNorm,
        "batch_norm_1d": nn.BatchNorm1d,
        "batch_norm_2d": nn.BatchNorm2d,
        "activation": Activation,
        "nothing": nn.Identity,  # dropout, at evaluation
    }
    return makers[kind](*sizes)


class WindowPositions(nn.Module):
    """Positions of kzl's Atari model: one per token, and one global per window.

    Tokens are counted from the first real one. The global position is that of the last timestep,
    as in the published evaluation (kzl/decision-transformer, atari/mingpt/utils.py: sample).
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.tokens = nn.Parameter(
            torch.zeros(config.tokens_per_step * config.reach + 1, config.hidden_size)
        )
        self.steps = nn.Embedding(config.max_ep_len, config.hidden_size)

    def forward(self, timesteps: Tensor, real: Tensor) -> Tensor:  # [B, T], [B, L] -> [B, L, H]
        index = (real.to(torch.int64).cumsum(1) - 1).clamp(min=0)
        places: Tensor = F.embedding(index, self.tokens) + self.steps(timesteps[:, -1:])
        return places


class PositionsFromEnd(nn.Module):
    """Positions of d3rlpy's GlobalPositionEncoding: one per place in the window, one global.

    Places are counted from the end: the newest timestep has the last of K, however many there are.
    The global position is that of the newest timestep (d3rlpy/models/torch/transformers.py).
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.from_end = nn.Parameter(torch.zeros(config.reach, config.hidden_size))
        self.steps = nn.Embedding(config.max_ep_len, config.hidden_size)

    def forward(self, timesteps: Tensor) -> Tensor:  # [B, T] -> [B, T, H]
        length, context = timesteps.shape[1], self.from_end.shape[0]
        index = torch.arange(length, device=timesteps.device) + (context - length)
        places: Tensor = F.embedding(index, self.from_end) + self.steps(timesteps[:, -1:])
        return places


class TokenEmbedding(nn.Module):
    """Each timestep becomes its tokens; in most dialects they share the embedding of its time."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        hidden = config.hidden_size
        self.embed_return = nn.Linear(1, hidden) if config.returns else None
        plain = not config.state_encoder
        self.embed_state = nn.Linear(config.state_dim, hidden) if plain else StateEncoder(config)
        actions = nn.Embedding if config.index_actions else nn.Linear
        self.embed_action = actions(config.act_dim, hidden)
        activation = config.token_activation
        self.activation = None if activation is None else ACTIVATIONS[activation]
        self.embed_timestep = _time(config)
        self.positions = WindowPositions(config) if config.positions == "window" else None
        self.embed_ln = (
            nn.LayerNorm(hidden, eps=config.embed_norm_epsilon)
            if config.embed_norm
            else nn.Identity()
        )

    def embed(
        self,
        states: Tensor,
        actions: Tensor,
        returns_to_go: Tensor | None,
        timesteps: Tensor,
        real: Tensor,
    ) -> Tensor:
        """Tokens before the norm: [B, L, H]."""
        tokens = [self.embed_state(states), self.embed_action(actions)]
        if self.embed_return is not None:
            tokens.insert(0, self.embed_return(returns_to_go))
        if self.activation is not None:
            tokens = [self.activation(token) for token in tokens]
        if self.embed_timestep is not None:
            time = self.embed_timestep(timesteps)  # [B, T, H]
            tokens = [token + time for token in tokens]
        x = torch.stack(tokens, dim=2).flatten(1, 2)
        return x if self.positions is None else x + self.positions(timesteps, real)

    def forward(self, *inputs: Tensor) -> Tensor:
        normed: Tensor = self.embed_ln(self.embed(*inputs))
        return normed


def _time(config: ModelConfig) -> nn.Embedding | PositionsFromEnd | None:
    """What all tokens of a timestep share, where they do."""
    if config.positions == "from_end":
        return PositionsFromEnd(config)
    table = config.positions == "timestep"
    return nn.Embedding(config.max_ep_len, config.hidden_size) if table else None


class Attention(nn.Module):
    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        self.n_head = config.n_head
        self.scale = config.attention_scale(layer)
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return self.attend(*self.project(x), mask)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value by head: [B, L, H] -> three of [B, N, L, D]."""
        query, key, value = (
            y.unflatten(2, (self.n_head, -1)).transpose(1, 2) for y in self.qkv(x).chunk(3, dim=-1)
        )
        return query, key, value

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        scores = query @ key.transpose(2, 3) * self.scale + mask  # [B, N, L, L]
        weights = scores.softmax(dim=-1)
        return self.proj((weights @ value).transpose(1, 2).flatten(2)), weights


class Block(nn.Module):
    """Attention and a perceptron, each with a residual; norms before them (GPT-2) or after."""

    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        self.norm_first = config.norm_first
        self.ln_1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.attn = Attention(config, layer)
        self.ln_2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.fc = nn.Linear(config.hidden_size, config.n_inner)
        self.proj = nn.Linear(config.n_inner, config.hidden_size)
        self.activation = ACTIVATIONS[config.activation]

    def attention_input(self, x: Tensor) -> Tensor:
        normed: Tensor = self.ln_1(x) if self.norm_first else x
        return normed

    def after_attention(self, x: Tensor, attended: Tensor) -> Tensor:
        x = x + attended
        if self.norm_first:
            return x + self.mlp(self.ln_2(x))
        x = self.ln_1(x)
        normed: Tensor = self.ln_2(x + self.mlp(x))
        return normed

    def mlp(self, x: Tensor) -> Tensor:
        added: Tensor = self.proj(self.activation(self.fc(x)))
        return added

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        attended, weights = self.attn(self.attention_input(x), mask)
        return self.after_attention(x, attended), weights


class DecisionTransformer(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        hidden, size = config.hidden_size, config.act_dim
        self.config = config
        self.tokens = TokenEmbedding(config)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.n_layer))
        self.ln_f = (
            nn.LayerNorm(hidden, eps=config.layer_norm_epsilon)
            if config.final_norm
            else nn.Identity()
        )
        self.predict_action = nn.Linear(hidden, size, bias=config.action_bias)
        self.predict_log_std = nn.Linear(hidden, size) if config.stochastic else None
        self.predict_state = nn.Linear(hidden, config.state_dim) if config.predicts_state else None
        self.predict_return = nn.Linear(hidden, 1) if config.predicts_return else None

    def layers(self) -> list[Block]:
        """``blocks`` by their type, which a ModuleList forgets."""
        return cast(list[Block], list(self.blocks))

    def act(self, hidden: Tensor) -> Tensor:
        """The action, or the logits, read from a state token: [..., H] -> [..., A].

        A squashed Gaussian's deterministic action is tanh(mu).
        """
        action: Tensor = self.predict_action(hidden)
        if self.config.action_tanh:
            action = action.tanh()
        return action if self.config.action_scale == 1.0 else action * self.config.action_scale

    def log_std(self, hidden: Tensor) -> Tensor:
        """Zheng et al. 2022 (arXiv:2202.05607): squashed into its bounds by a tanh."""
        assert self.predict_log_std is not None, "no stochastic head"
        low, high = self.config.log_std_bounds
        raw: Tensor = self.predict_log_std(hidden)
        return low + (high - low) / 2 * (raw.tanh() + 1)

    def forward(
        self,
        states: Tensor,  # [B, T, S] normalised, or [B, T, C, 84, 84] uint8
        actions: Tensor,  # [B, T, A], one-hot where discrete; or [B, T] int64 indices
        timesteps: Tensor,  # [B, T] int64, in 0 .. max_ep_len - 1
        attention_mask: Tensor,  # [B, T] int64, 1 for a real timestep and 0 for padding
        returns_to_go: Tensor | None = None,  # [B, T, 1], divided by the return scale
    ) -> ModelOutput:
        per_step = self.config.tokens_per_step
        real = token_mask(attention_mask, per_step)
        x = self.tokens(states, actions, returns_to_go, timesteps, real)
        mask = causal_mask(real, x.dtype)
        hidden_states, attentions = [x], []
        for block in self.blocks:
            x, weights = block(x, mask)
            hidden_states.append(x)
            attentions.append(weights)
        x = hidden_states[-1] = self.ln_f(x)

        *_, state, action = x.unflatten(1, (-1, per_step)).unbind(2)  # [B, T, H] each
        stochastic = self.predict_log_std is not None
        return ModelOutput(
            action_preds=self.act(state),
            state_preds=None if self.predict_state is None else self.predict_state(action),
            return_preds=None if self.predict_return is None else self.predict_return(action),
            mu=self.predict_action(state) if stochastic else None,
            log_std=self.log_std(state) if stochastic else None,
            last_hidden_state=x,
            hidden_states=tuple(hidden_states),
            attentions=tuple(attentions),
        )


def token_mask(attention_mask: Tensor, per_step: int = 3) -> Tensor:
    """Which tokens are real: [B, T] -> [B, L] bool; the tokens of a timestep go together."""
    return (attention_mask != 0).unsqueeze(2).expand(-1, -1, per_step).flatten(1)


def causal_mask(real: Tensor, dtype: torch.dtype, cached: int | torch.SymInt = 0) -> Tensor:
    """What is added to the scores: 0 where a token may look, -inf where not; [B, 1, L, P + L].

    ``real`` is [B, P + L] bool; the first P tokens are ``cached`` and only looked at. A token
    always sees itself, so that rows of padding stay finite; real tokens never see padding.
    """
    key = torch.arange(real.shape[1], device=real.device)
    query = key[cached:]
    past = key[None, :] < query[:, None]  # [L, P + L]
    itself = key[None, :] == query[:, None]
    visible = (past & real[:, None, :]) | itself  # [B, L, P + L]
    return torch.zeros_like(visible, dtype=dtype).masked_fill(~visible, float("-inf"))[:, None]
