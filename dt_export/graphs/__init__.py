"""What is traced. A graph wraps the model and says what goes in and what comes out.

- ``sequence``: the network as it was trained, a drop-in for transformers' DecisionTransformerModel.
- ``policy``: raw observations and raw returns-to-go in, the last raw action out (or the logits of
  a discrete one), nothing that this action does not need.
- ``step``: the same for one new timestep against cached ones (see step.py).
- ``backbone``: the transformer alone, with a cache of keys and values (see backbone.py).
"""

import copy

import torch
from dt_runtime.contract import Axis, TensorSpec
from torch import Tensor, nn

from dt_export.checkpoints import Checkpoint
from dt_export.errors import UsageError
from dt_export.facts import Facts
from dt_export.graphs import backbone, step
from dt_export.graphs.folding import FoldedAttention, JointEmbedding, all_linear, by_index, narrow
from dt_export.graphs.units import Head, Inward
from dt_export.models.decision_transformer import DecisionTransformer, ModelConfig, token_mask

BATCH, SEQUENCE = "batch", "sequence"
GRAPHS = ("policy", step.GRAPH, "sequence", backbone.GRAPH)
EXTRA_OUTPUTS = ("last_hidden_state", "hidden_states", "attentions")
GAUSSIAN = ("mu", "log_std")
TOKEN_ORDER = ("return", "state", "action")
LOWEST = -1e30  # added to a score, leaves no trace of it in a softmax with any real one
LOWEST_HALF = -3e4  # the same in float16, which ends at 65504
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "int8": torch.float32}
PRECISIONS = tuple(DTYPES)


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
        facts: Facts,
        outputs: tuple[str, ...],
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__()
        config = model.config
        self.model, self.dtype = model, dtype
        self.lowest = LOWEST if dtype == torch.float32 else LOWEST_HALF
        self.joint = JointEmbedding(model, facts, TOKEN_ORDER) if all_linear(config) else None
        self.inward, self.tokens = Inward(facts), by_index(model)
        self.attentions = nn.ModuleList(FoldedAttention(b, config) for b in model.blocks)
        self.head = Head(model, facts, outputs)
        narrow(self, dtype)

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
            inputs = self.inward(states, actions, returns_to_go)
            tokens = self.tokens.embed(*inputs, timesteps, real)  # [B, L + 1, H]
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
        return self.head(hidden.to(torch.float32))

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
        for layer, (block, attention) in enumerate(zip(model.blocks, self.attentions, strict=True)):
            normed = block.attention_input(x)
            memory = tuple(attention.split(y, batch, -1) for y in attention.memory(normed))
            if layer == config.n_layer - 1:  # nothing reads its other tokens
                x, normed = (y.view(batch, -1, config.hidden_size)[:, -1] for y in (x, normed))
                query, mask = attention.split(attention.query(normed), -1, 1), mask[:, :, -1:]
            else:
                query = attention.split(attention.query(normed), batch, -1)
            x = block.after_attention(x, attention.attend(query, memory, mask))
        return model.ln_f(x)


class WithoutReturns(nn.Module):
    """A graph of a model that is not conditioned on returns: one input fewer."""

    def __init__(self, conditioned: nn.Module):
        super().__init__()
        self.conditioned = conditioned

    def forward(
        self, states: Tensor, actions: Tensor, timesteps: Tensor, attention_mask: Tensor
    ) -> tuple[Tensor, ...]:
        return self.conditioned(states, actions, None, timesteps, attention_mask)


def build(
    checkpoint: Checkpoint,
    graph: str,
    names: tuple[str, ...] | None = None,
    precision: str = "fp32",
) -> nn.Module:
    """The module to trace, in eval mode.

    In ``fp16`` the layers of a policy or step graph count in float16; what comes before and after
    them stays in float32, since raw inputs may be beyond float16. ``int8`` is not made here: see
    int8.py.

    Its positional inputs are those of ``input_specs``, its outputs those named, or without names
    the default of ``output_names``.
    """
    model, dtype = checkpoint.model, DTYPES[precision]
    if graph == backbone.GRAPH:
        return model
    if dtype != torch.float32:
        model = copy.deepcopy(model)
    names = names or output_names(model.config, graph)
    if graph == step.GRAPH:
        inputs = input_specs(model.config, graph, checkpoint.facts.context_length)
        inputs = tuple(spec.name for spec in inputs)
        return step.StepGraph(model, checkpoint.facts, names, inputs, dtype).eval()
    if graph == "policy":
        module: nn.Module = PolicyGraph(model, checkpoint.facts, names, dtype)
    else:
        module = SequenceGraph(model, names)
    return (module if model.config.returns else WithoutReturns(module)).eval()


def input_specs(
    config: ModelConfig, graph: str, context_length: int = 1, precision: str = "fp32"
) -> tuple[TensorSpec, ...]:
    """What goes in. A policy takes discrete actions as indices, whatever the network was fed.

    ``context_length`` is the size of a step graph's caches, in timesteps; others hold any window.
    """
    if graph == backbone.GRAPH:
        return backbone.input_specs(config)
    if graph == step.GRAPH:
        return step.input_specs(config, context_length, _cache_type(precision))
    window: tuple[Axis, ...] = (BATCH, SEQUENCE)
    states = "uint8" if config.frames else "float32"
    by_index = config.index_actions or (config.discrete and graph == "policy")
    actions = TensorSpec("actions", "float32", (*window, config.act_dim))
    specs = (
        TensorSpec("states", states, (*window, *config.state_shape)),
        TensorSpec("actions", "int64", window) if by_index else actions,
        TensorSpec("returns_to_go", "float32", (*window, 1)),
        TensorSpec("timesteps", "int64", window),
        TensorSpec("attention_mask", "int64", window),
    )
    return tuple(spec for spec in specs if config.returns or spec.name != "returns_to_go")


def output_specs(
    config: ModelConfig,
    graph: str,
    names: tuple[str, ...],
    context_length: int = 1,
    precision: str = "fp32",
) -> tuple[TensorSpec, ...]:
    """What comes out under these names; of a step graph the caches too."""
    if graph == backbone.GRAPH:
        return backbone.output_specs(config)
    if graph == step.GRAPH:
        action: tuple[Axis, ...] = (BATCH, config.act_dim)
        caches = step.cache_specs(config, context_length, _cache_type(precision), out=True)
        return (*(TensorSpec(name, "float32", action) for name in names), *caches)
    hidden, layers, heads, size = config.hidden_size, config.n_layer, config.n_head, config.act_dim
    tokens = token_axis(config)
    actions: tuple[Axis, ...] = (BATCH, size) if graph == "policy" else (BATCH, SEQUENCE, size)
    shapes: dict[str, tuple[Axis, ...]] = {
        **dict.fromkeys(("action", "logits", "action_preds", *GAUSSIAN), actions),
        "state_preds": (BATCH, SEQUENCE, config.state_dim),
        "return_preds": (BATCH, SEQUENCE, 1),
        "last_hidden_state": (BATCH, tokens, hidden),
        "hidden_states": (layers + 1, BATCH, tokens, hidden),
        "attentions": (layers, BATCH, heads, tokens, tokens),
    }
    return tuple(TensorSpec(name, "float32", shapes[name]) for name in names)


def _cache_type(precision: str) -> str:
    """NumPy's name for the type that the layers of a graph count in."""
    return str(DTYPES[precision]).removeprefix("torch.")


def token_axis(config: ModelConfig) -> str:
    """The name of the axis of tokens, ``3*sequence`` in most dialects."""
    return f"{config.tokens_per_step}*{SEQUENCE}"


def output_names(
    config: ModelConfig, graph: str, outputs: tuple[str, ...] = (), sample: bool = False
) -> tuple[str, ...]:
    """The names of a graph's outputs, in order.

    Args:
        outputs: of a sequence graph; none for all predictions.
        sample: ``mu`` and ``log_std`` of a squashed Gaussian too.

    Raises:
        UsageError: no graph or output of that name, or none that this model has.
    """
    if graph not in GRAPHS:
        raise UsageError(f"--graph is {graph!r}, expected one of {', '.join(GRAPHS)}")
    if sample and not config.stochastic:
        raise UsageError("--sample needs a stochastic head (online-dt), and this model has none")
    gaussian = GAUSSIAN if sample else ()
    if graph != "sequence" and outputs:
        raise UsageError(f"--outputs belongs to --graph sequence, not to {graph}")
    if graph == backbone.GRAPH:
        return backbone.OUTPUTS
    if graph == step.GRAPH:
        step.check(config)
    if graph in ("policy", step.GRAPH):
        return ("logits" if config.discrete else "action", *gaussian)
    has = {"state_preds": config.predicts_state, "return_preds": config.predicts_return}
    predictions = ("state_preds", "action_preds", "return_preds")
    predictions = tuple(name for name in predictions if has.get(name, True))
    known = (*predictions, *(GAUSSIAN if config.stochastic else ()), *EXTRA_OUTPUTS)
    for name in outputs:
        if name not in known:
            raise UsageError(f"--outputs has {name!r}, expected some of {', '.join(known)}")
    names = outputs or predictions
    return (*names, *(name for name in gaussian if name not in names))
