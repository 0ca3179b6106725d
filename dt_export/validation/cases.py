"""The inputs of open-loop validation: every window a rollout can meet, and some it should not."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from dt_runtime.contract import Contract

EXTREME = 1e4  # standard deviations


@dataclass(frozen=True)
class Case:
    """One set of inputs; ``padding`` is the longest left padding among its rows."""

    group: str
    batch: int
    length: int  # timesteps, padding included
    padding: int = 0
    kind: str = "random"  # random | late | extreme

    def __str__(self) -> str:
        return f"{self.group}: B={self.batch} T={self.length} padding={self.padding}"


def cases(contract: Contract, longer: bool = True) -> Iterator[Case]:
    """Every length from 1 to K and every left padding from 0 to K - 1, one row and three.

    A file of fixed shape gets its own batch and length alone, with every padding. A sequence graph
    gets some windows of more than K too, where its positions reach so far.

    The graphs are traced at one small length, so nearly all of these lie beyond it.
    """
    context = contract.context_length
    fixed_batch, fixed_length = contract.inputs[0].shape[:2]
    batches = (1, 3) if isinstance(fixed_batch, str) else (fixed_batch,)
    lengths = range(1, context + 1) if isinstance(fixed_length, str) else (fixed_length,)
    for batch in batches:
        for length in lengths:
            yield Case(f"T = {lengths[0]}..{lengths[-1]}, B = {batch}", batch, length)
    for batch in batches:
        for padding in range(context):
            yield Case(f"left padding 0..{context - 1}, B = {batch}", batch, context, padding)
    for group, kind in (("end of the longest episode", "late"), ("extreme inputs", "extreme")):
        for length in sorted({1, 2, context} & set(lengths)):
            for batch in batches:
                yield Case(group, batch, length, kind=kind)
    if contract.graph == "sequence" and longer and isinstance(fixed_length, str):
        for length in (context + 1, context + 3, 2 * context):
            for batch in batches:
                yield Case("windows longer than K", batch, length)


def inputs(contract: Contract, case: Case, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Fresh inputs for a case: raw for a policy graph, normalised for a sequence graph.

    Of several rows the first has the case's padding, the last has none, others lie between.
    """
    window = (case.batch, case.length)
    spread = EXTREME if case.kind == "extreme" else 1.0
    dtypes = {spec.name: spec.dtype for spec in contract.inputs}
    returns = spread * rng.uniform(-1.0, 4.0, (*window, 1))
    if contract.graph == "policy":
        returns = returns * contract.return_scale
    paddings = np.linspace(case.padding, 0, case.batch).astype(np.int64)[:, None]
    column = np.arange(case.length)[None, :]
    mask = (column >= paddings).astype(np.int64)
    last = contract.first_timestep + contract.max_ep_len - 1
    latest_start = max(contract.first_timestep, last - case.length + 1)
    start = latest_start
    if case.kind != "late":
        start = rng.integers(contract.first_timestep, latest_start + 1, (case.batch, 1))
    timesteps = np.minimum(start + column, last) * mask
    drawn = {
        "states": draw_states(contract, window, spread, rng),
        "actions": _actions(contract, window, dtypes["actions"], rng),
        "returns_to_go": returns,
        "timesteps": timesteps,
        "attention_mask": mask,
    }
    return {name: drawn[name].astype(dtype) for name, dtype in dtypes.items()}


def draw_states(
    contract: Contract, window: tuple[int, int], spread: float, rng: np.random.Generator
) -> np.ndarray:
    """Observations [B, T, ...]: frames, or numbers around the mean, raw but for a bare network."""
    state = contract.state
    if contract.inputs[0].dtype == "uint8":
        frames = rng.integers(0, 256, (*window, *state.shape))
        return frames if spread == 1.0 else np.where(frames < 128, 0, 255)
    states = spread * rng.standard_normal((*window, *state.shape))
    if contract.graph != "sequence" and state.mean is not None and state.std is not None:
        states = np.reshape(state.mean, state.shape) + states * np.reshape(state.std, state.shape)
    return states


def _actions(
    contract: Contract, window: tuple[int, int], dtype: str, rng: np.random.Generator
) -> np.ndarray:
    action = contract.action
    if action.kind == "discrete":
        indices = rng.integers(0, action.size, window)
        return indices if dtype == "int64" else np.eye(action.size)[indices]
    drawn = rng.uniform(-1.0, 1.0, (*window, action.size))
    if contract.graph == "policy" and action.scale is not None:
        return drawn * action.scale + action.offset
    return drawn if action.high is None else drawn * np.abs(action.high)
