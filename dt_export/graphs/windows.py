"""What the graphs over whole windows share: inputs [B, T, ...], and how they are validated."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from dt_runtime.contract import Axis, Contract, TensorSpec
from torch import Tensor, nn

from dt_export.graphs.kind import BATCH, SEQUENCE
from dt_export.graphs.trials import EXTREME, Arrays, Case, Runnable, Trial, draw_states
from dt_export.models.decision_transformer import ModelConfig

EXAMPLE = {BATCH: 2, SEQUENCE: 3}
MANY = 32  # rows: rounding is told by many numbers
REPEATS = 4  # of each case of a file that takes no more rows


class WithoutReturns(nn.Module):
    """A graph of a model that is not conditioned on returns: one input fewer."""

    def __init__(self, conditioned: nn.Module):
        super().__init__()
        self.conditioned = conditioned

    def forward(
        self, states: Tensor, actions: Tensor, timesteps: Tensor, attention_mask: Tensor
    ) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = self.conditioned(
            states, actions, None, timesteps, attention_mask
        )
        return outputs


def with_the_inputs_of(config: ModelConfig, graph: nn.Module) -> nn.Module:
    """The graph itself, or without returns-to-go where the model takes none."""
    return graph if config.returns else WithoutReturns(graph)


def input_specs(config: ModelConfig, by_index: bool) -> tuple[TensorSpec, ...]:
    """What goes in; actions as indices [B, T] or as numbers [B, T, A]."""
    window: tuple[Axis, ...] = (BATCH, SEQUENCE)
    states = "uint8" if config.frames else "float32"
    actions = TensorSpec("actions", "float32", (*window, config.act_dim))
    specs = (
        TensorSpec("states", states, (*window, *config.state_shape)),
        TensorSpec("actions", "int64", window) if by_index else actions,
        TensorSpec("returns_to_go", "float32", (*window, 1)),
        TensorSpec("timesteps", "int64", window),
        TensorSpec("attention_mask", "int64", window),
    )
    return tuple(spec for spec in specs if config.returns or spec.name != "returns_to_go")


def floats(config: ModelConfig, context_length: int) -> int:
    """A lower bound on what one layer holds for one row."""
    length = config.tokens_per_step * context_length
    activations = length * (4 * config.hidden_size + config.n_inner)
    return activations + config.n_head * length * length


def sizes(contract: Contract) -> dict[str, int]:
    """The axes that the file has fixed."""
    shape = next((spec.shape for spec in contract.inputs if spec.name == "states"), ())
    named = zip((BATCH, SEQUENCE), shape, strict=False)
    return {name: axis for name, axis in named if isinstance(axis, int)}


def trials(contract: Contract, raw: bool, longer: bool = False) -> Iterator[Trial]:
    """A trial for every case; ``raw`` says what the graph's numbers are."""
    outputs = tuple(spec.name for spec in contract.outputs)
    for case in cases(contract, longer):
        yield Trial(case, outputs, partial(_play, case, raw))


def cases(contract: Contract, longer: bool = False) -> Iterator[Case]:
    """Every length from 1 to K and every left padding from 0 to K - 1, one row and three.

    Then many rows of some lengths. A file of fixed shape gets its own batch and length alone, with
    every padding, several times. ``longer`` adds windows of more than K.

    The graphs are traced at one small length, so nearly all of these lie beyond it.
    """
    context = contract.context_length
    fixed_batch, fixed_length = contract.inputs[0].shape[:2]
    batches = (1, 3) if isinstance(fixed_batch, str) else (fixed_batch,)
    lengths = range(1, context + 1) if isinstance(fixed_length, str) else (fixed_length,)
    repeats = 1 if isinstance(fixed_batch, str) else REPEATS
    for batch in batches * repeats:
        for length in lengths:
            yield Case(f"T = {lengths[0]}..{lengths[-1]}, B = {batch}", batch, length)
    for batch in batches * repeats:
        for padding in range(context):
            yield Case(f"left padding 0..{context - 1}, B = {batch}", batch, context, padding)
    if isinstance(fixed_batch, str):
        for length in sorted({1, 2, 3, context // 2, context} & set(lengths)):
            yield Case("many rows", MANY, length)
    for group, kind in (("end of the longest episode", "late"), ("extreme inputs", "extreme")):
        for length in sorted({1, 2, context} & set(lengths)):
            for batch in batches:
                yield Case(group, batch, length, kind=kind)
    if longer and isinstance(fixed_length, str):
        for length in (context + 1, context + 3, 2 * context):
            for batch in batches:
                yield Case("windows longer than K", batch, length)


def inputs(
    contract: Contract, case: Case, raw: bool, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Fresh inputs for a case, in the units of the graph.

    Of several rows the first has the case's padding, the last has none, others lie between.
    """
    window = (case.batch, case.length)
    spread = EXTREME if case.kind == "extreme" else 1.0
    dtypes = {spec.name: spec.dtype for spec in contract.inputs}
    returns = spread * rng.uniform(-1.0, 4.0, (*window, 1))
    if raw:
        returns = returns * contract.return_scale
    paddings = np.linspace(case.padding, 0, case.batch).astype(np.int64)[:, None]
    column = np.arange(case.length)[None, :]
    mask = (column >= paddings).astype(np.int64)
    last = contract.first_timestep + contract.max_ep_len - 1
    latest_start = max(contract.first_timestep, last - case.length + 1)
    start: int | np.ndarray = latest_start
    if case.kind != "late":
        start = rng.integers(contract.first_timestep, latest_start + 1, (case.batch, 1))
    timesteps = np.minimum(start + column, last) * mask
    drawn = {
        "states": draw_states(contract, window, spread, raw, rng),
        "actions": _actions(contract, window, dtypes["actions"], raw, rng),
        "returns_to_go": returns,
        "timesteps": timesteps,
        "attention_mask": mask,
    }
    return {name: drawn[name].astype(dtype) for name, dtype in dtypes.items()}


def _actions(
    contract: Contract, window: tuple[int, int], dtype: str, raw: bool, rng: np.random.Generator
) -> np.ndarray:
    action = contract.action
    if action.kind == "discrete":
        indices = rng.integers(0, action.size, window)
        return indices if dtype == "int64" else np.eye(action.size)[indices]
    drawn: np.ndarray = rng.uniform(-1.0, 1.0, (*window, action.size))
    if raw and action.scale is not None and action.offset is not None:
        drawn = drawn * np.asarray(action.scale) + np.asarray(action.offset)
    elif action.high is not None:
        drawn = drawn * np.abs(action.high)
    return drawn


def _play(
    case: Case, raw: bool, artifact: Runnable, rng: np.random.Generator
) -> Iterator[tuple[Case, Arrays, Arrays]]:
    arrays = inputs(artifact.contract, case, raw, rng)
    yield case, arrays, artifact.run(arrays)
