"""What is traced. A graph wraps the model and says what goes in and what comes out.

- ``sequence``: the network as it was trained, a drop-in for transformers' DecisionTransformerModel.
- ``policy``: raw observations and raw returns-to-go in, the last raw action out, nothing that this
  action does not need.
"""

import torch
from dt_runtime.contract import Axis, TensorSpec
from torch import Tensor, nn

from dt_export.checkpoints import Checkpoint
from dt_export.errors import UsageError
from dt_export.facts import Facts
from dt_export.model import Block, DecisionTransformer, ModelConfig, causal_mask, token_mask

BATCH, SEQUENCE, TOKENS = "batch", "sequence", "3*sequence"
GRAPHS = ("policy", "sequence")
PREDICTIONS = ("state_preds", "action_preds", "return_preds")
EXTRA_OUTPUTS = ("last_hidden_state", "hidden_states", "attentions")


class SequenceGraph(nn.Module):
    """The model's forward pass with the outputs that were asked for, in that order."""

    def __init__(self, model: DecisionTransformer, outputs: tuple[str, ...] = PREDICTIONS):
        super().__init__()
        self.model, self.outputs = model, outputs

    def forward(
        self,
        states: Tensor,
        actions: Tensor,
        returns_to_go: Tensor,
        timesteps: Tensor,
        attention_mask: Tensor,
    ) -> tuple[Tensor, ...]:
        out = self.model(states, actions, returns_to_go, timesteps, attention_mask)
        values = (getattr(out, name) for name in self.outputs)
        return tuple(torch.stack(v) if isinstance(v, tuple) else v for v in values)


class PolicyGraph(nn.Module):
    """The last action of a window, exactly, for less work than the whole forward pass.

    What it saves: the state and return heads; the last action token, which nothing reads; in the
    last layer everything but keys and values, save for the last state token. The attention scale
    is folded into the query's weights, and the three embeddings are one product. Tokens stay
    two-dimensional, [B * L, H] with L = 3T - 1, so that a linear map is one Gemm.
    """

    def __init__(self, model: DecisionTransformer, facts: Facts):
        super().__init__()
        config = model.config
        self.model, self.n_head, self.return_scale = model, config.n_head, facts.return_scale
        self.mean, self.std = _constant(self, "mean", facts.state_mean), None
        if facts.state_std is not None:
            self.std = _constant(self, "std", facts.state_std)
        self.embed = _joint_embedding(model)
        self.attentions = nn.ModuleList(_ScaledProjections(b, config) for b in model.blocks)
        tanh_bounds = config.action_tanh and _within(facts, 1.0)
        self.low = None if tanh_bounds else _constant(self, "low", facts.action_low)
        self.high = None if tanh_bounds else _constant(self, "high", facts.action_high)

    def forward(
        self,
        states: Tensor,  # [B, T, S] raw
        actions: Tensor,  # [B, T, A] raw; the last one is not read
        returns_to_go: Tensor,  # [B, T, 1] raw
        timesteps: Tensor,  # [B, T] int64
        attention_mask: Tensor,  # [B, T] int64; the last column is 1
    ) -> Tensor:
        if self.mean is not None:
            states = (states - self.mean) / self.std
        inputs = torch.cat((returns_to_go / self.return_scale, states, actions), dim=2)
        return self.bound(self.last_action(inputs, timesteps, token_mask(attention_mask)[:, :-1]))

    def last_action(self, inputs: Tensor, timesteps: Tensor, real: Tensor) -> Tensor:
        model = self.model
        batch = inputs.shape[0]
        time = model.tokens.embed_timestep(timesteps).unsqueeze(2)  # [B, T, 1, H]
        tokens = self.embed(inputs.flatten(0, 1))  # [B * T, 3H]
        tokens = tokens.unflatten(0, (batch, -1)).unflatten(2, (3, -1)) + time  # [B, T, 3, H]
        tokens = tokens.flatten(1, 2)[:, :-1]  # [B, L, H]
        x = model.tokens.embed_ln(tokens.flatten(0, 1))  # [B * L, H]

        mask = causal_mask(real, x.dtype)
        for block, attention in zip(model.blocks[:-1], self.attentions[:-1], strict=True):
            x = x + block.attn.proj(attention(block.ln_1(x), mask, batch))
            x = x + block.mlp(x)

        block, attention = model.blocks[-1], self.attentions[-1]
        attended = attention.last(block.ln_1(x), mask[:, :, -1:], batch)  # [B, H]
        x = x.unflatten(0, (batch, -1))[:, -1] + block.attn.proj(attended)
        return model.act(model.ln_f(x + block.mlp(x)))  # [B, A]

    def bound(self, action: Tensor) -> Tensor:
        if self.low is not None:
            action = torch.maximum(action, self.low)
        return action if self.high is None else torch.minimum(action, self.high)


class _ScaledProjections(nn.Module):
    """A block's attention up to its output projection, with the scale inside the query."""

    def __init__(self, block: Block, config: ModelConfig):
        super().__init__()
        self.n_head = config.n_head
        weights, biases = block.attn.qkv.weight.chunk(3), block.attn.qkv.bias.chunk(3)
        scale = block.attn.scale
        self.query = _linear(weights[0] * scale, biases[0] * scale)
        self.key = _linear(weights[1], biases[1])
        self.value = _linear(weights[2], biases[2])

    def heads(self, x: Tensor, batch: int) -> Tensor:  # [B * L, H] -> [B, N, L, D]
        if self.n_head == 1:
            return x.unflatten(0, (batch, -1)).unsqueeze(1)
        return x.view(batch, -1, self.n_head, x.shape[1] // self.n_head).transpose(1, 2)

    def forward(self, x: Tensor, mask: Tensor, batch: int) -> Tensor:
        return self.attend(self.query(x), x, mask, batch)

    def last(self, x: Tensor, mask: Tensor, batch: int) -> Tensor:
        """Only the last token of each row asks: [B * L, H] -> [B, H]."""
        return self.attend(self.query(x.unflatten(0, (batch, -1))[:, -1]), x, mask, batch)

    def attend(self, query: Tensor, x: Tensor, mask: Tensor, batch: int) -> Tensor:
        query, key, value = (self.heads(y, batch) for y in (query, self.key(x), self.value(x)))
        weights = (query @ key.transpose(2, 3) + mask).softmax(dim=-1)  # [B, N, queries, L]
        attended = weights @ value
        if self.n_head == 1:
            return attended.flatten(0, 2)
        return attended.transpose(1, 2).flatten(2).flatten(0, 1)  # [B * queries, H]


def _joint_embedding(model: DecisionTransformer) -> nn.Linear:
    """One map from (return-to-go, state, action) to the three tokens side by side, [3H]."""
    tokens = model.tokens
    parts = (tokens.embed_return, tokens.embed_state, tokens.embed_action)
    weight = torch.block_diag(*(part.weight for part in parts))
    return _linear(weight, torch.cat([part.bias for part in parts]))


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    linear.weight.data, linear.bias.data = weight.detach().clone(), bias.detach().clone()
    return linear


def _constant(module: nn.Module, name: str, values: tuple[float, ...] | None) -> Tensor | None:
    if values is None:
        return None
    module.register_buffer(f"_{name}", torch.tensor(values, dtype=torch.float32))
    return module.get_buffer(f"_{name}")


def _within(facts: Facts, bound: float) -> bool:
    """Whether the bounds are no tighter than tanh's own."""
    lows, highs = facts.action_low or (-bound,), facts.action_high or (bound,)
    return all(low <= -bound for low in lows) and all(high >= bound for high in highs)


def build(checkpoint: Checkpoint, graph: str, outputs: tuple[str, ...] = ()) -> nn.Module:
    """The module to trace, in eval mode. ``outputs`` are those of a sequence graph, none for all.

    Raises:
        UsageError: no graph or output of that name.
    """
    names = _output_names(graph, outputs)
    if graph == "policy":
        return PolicyGraph(checkpoint.model, checkpoint.facts).eval()
    return SequenceGraph(checkpoint.model, names).eval()


def input_specs(config: ModelConfig) -> tuple[TensorSpec, ...]:
    window: tuple[Axis, ...] = (BATCH, SEQUENCE)
    return (
        TensorSpec("states", "float32", (*window, config.state_dim)),
        TensorSpec("actions", "float32", (*window, config.act_dim)),
        TensorSpec("returns_to_go", "float32", (*window, 1)),
        TensorSpec("timesteps", "int64", window),
        TensorSpec("attention_mask", "int64", window),
    )


def output_specs(
    config: ModelConfig, graph: str, outputs: tuple[str, ...] = ()
) -> tuple[TensorSpec, ...]:
    hidden, layers, heads = config.hidden_size, config.n_layer, config.n_head
    shapes: dict[str, tuple[Axis, ...]] = {
        "action": (BATCH, config.act_dim),
        "state_preds": (BATCH, SEQUENCE, config.state_dim),
        "action_preds": (BATCH, SEQUENCE, config.act_dim),
        "return_preds": (BATCH, SEQUENCE, 1),
        "last_hidden_state": (BATCH, TOKENS, hidden),
        "hidden_states": (layers + 1, BATCH, TOKENS, hidden),
        "attentions": (layers, BATCH, heads, TOKENS, TOKENS),
    }
    return tuple(
        TensorSpec(name, "float32", shapes[name]) for name in _output_names(graph, outputs)
    )


def _output_names(graph: str, outputs: tuple[str, ...]) -> tuple[str, ...]:
    if graph not in GRAPHS:
        raise UsageError(f"--graph is {graph!r}, expected one of {', '.join(GRAPHS)}")
    if graph == "policy":
        if outputs:
            raise UsageError("--outputs belongs to --graph sequence; a policy puts out its action")
        return ("action",)
    known = (*PREDICTIONS, *EXTRA_OUTPUTS)
    for name in outputs:
        if name not in known:
            raise UsageError(f"--outputs has {name!r}, expected some of {', '.join(known)}")
    return outputs or PREDICTIONS
