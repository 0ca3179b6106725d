"""Open loop along recorded episodes: at each step the artifact answers what was observed then.

The recorded actions are passed as the applied ones, so that the artifact sees the recorded past and
its errors do not add up. Eager PyTorch answers the very windows that the artifact reports.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from dt_runtime.contract import Contract

from dt_export.checkpoints import Checkpoint
from dt_export.errors import UsageError
from dt_export.graphs import graph_of
from dt_export.targets.artifact import Opened, Run
from dt_export.validation.eager import as_policy, no_action
from dt_export.validation.levels import bound_of
from dt_export.validation.pairs import Forced
from dt_export.validation.reference import reference
from dt_export.validation.trace_episodes import TraceEpisode

CHUNK = 256  # windows that eager PyTorch answers at once


@dataclass(frozen=True)
class Along:
    """The errors of one episode, by timestep: absolute where actions have bounds, else relative to
    the largest one. Of a discrete policy they are those of its logits."""

    episode: int
    target_return: float
    errors: tuple[float, ...]  # infinite where there was no finite number
    rounding: tuple[float, ...]  # of eager PyTorch, on the same windows
    problem: str | None = None  # what ended it before its last step

    @property
    def worst(self) -> int:
        """The step with the largest error."""
        return int(np.argmax(self.errors)) if self.errors else 0


@dataclass(frozen=True)
class TraceResult:
    """What came of all episodes of a trace."""

    source: str
    episodes: tuple[Along, ...]
    rounding: float  # the worst of all
    bound: float

    @property
    def passed(self) -> bool:
        return bool(self.episodes) and not self.failures

    @property
    def failures(self) -> tuple[Along, ...]:
        return tuple(
            along
            for along in self.episodes
            if along.problem is not None or not max(along.errors, default=0.0) <= self.bound
        )

    @property
    def steps(self) -> int:
        return sum(len(along.errors) for along in self.episodes)

    @property
    def worst(self) -> Along:
        return max(self.episodes, key=lambda along: max(along.errors, default=0.0))


def replay_trace(
    opened: Opened,
    checkpoint: Checkpoint,
    episodes: Sequence[TraceEpisode],
    source: str,
    *,
    precision: str = "fp32",
    tolerance: float | None = None,
    on_episode: Callable[[int, int], None] | None = None,
) -> TraceResult:
    """Run an artifact along recorded episodes, and eager PyTorch on the same windows.

    Args:
        source: what the episodes were read from, for the result.
        precision: whose rounding counts.
        tolerance: the largest error allowed. By default it follows from the rounding on these
            windows, see ``levels``.
        on_episode: called with (episodes done, episodes in all).

    Raises:
        UsageError: the graph has no actions, or the file was made for a batch.
    """
    contract = opened.contract
    if not graph_of(contract).takes_observations:
        raise UsageError(f"--trace: a {contract.graph} graph takes embeddings, not observations")
    if contract.batch_size not in (None, 1):
        raise UsageError(
            f"--trace replays one episode at a time, and the file was made for a batch of "
            f"{contract.batch_size} (--static-batch): export with --static-batch 1"
        )
    raw, forced = as_policy(contract), Forced(opened.engine)
    expected, exact = (reference(checkpoint, raw, arithmetic=a) for a in ("fp32", "float64"))
    rounded = expected
    if precision != "fp32":
        rounded = reference(checkpoint, raw, arithmetic=precision)
    found = []
    for episode in episodes:
        found.append(_along(forced, raw, episode, expected, rounded, exact))
        if on_episode is not None:
            on_episode(len(found), len(episodes))
    rounding = max((max(along.rounding, default=0.0) for along in found), default=0.0)
    return TraceResult(source, tuple(found), rounding, bound_of(rounding, precision, tolerance))


def _along(
    forced: Forced, raw: Contract, episode: TraceEpisode, expected: Run, rounded: Run, exact: Run
) -> Along:
    forced.reset(episode.target_return)
    for step, observation in enumerate(episode.observations):
        reward = episode.rewards[step - 1] if step else None
        forced.follow(observation, reward, episode.actions[step])
        if forced.problem is not None:
            break
    steps = len(forced.lengths)
    if not steps:
        return Along(episode.number, episode.target_return, (), (), forced.problem)
    seen = np.array(forced.outputs, np.float64).reshape(steps, -1)
    due, near, true = (
        _answers(raw, episode, forced.lengths, run) for run in (expected, rounded, exact)
    )
    bounded = raw.action.low is not None and raw.action.high is not None
    continuous = raw.action.kind != "discrete"
    scale = 1.0 if bounded and continuous else max(1.0, float(np.abs(due).max()))
    errors = np.where(np.isfinite(seen), np.abs(seen - due), np.inf).max(axis=1) / scale
    rounding = np.abs(near - true).max(axis=1) / scale
    return Along(
        episode.number,
        episode.target_return,
        tuple(errors.tolist()),
        tuple(rounding.tolist()),
        forced.problem,
    )


def _answers(raw: Contract, episode: TraceEpisode, lengths: Sequence[int], run: Run) -> np.ndarray:
    """A reference's answer at every step, on a window of its length: [T, A]."""
    dtypes = {spec.name: spec.dtype for spec in raw.inputs}
    (head,) = raw.outputs
    # What the runtime computes step by step, in float64.
    left = episode.target_return - np.concatenate([[0.0], np.cumsum(episode.rewards)[:-1]])
    last = raw.first_timestep + raw.max_ep_len - 1
    answers = np.zeros((len(lengths), raw.action.size))
    for length in sorted(set(lengths)):
        ends = np.flatnonzero(np.asarray(lengths) == length)
        for part in np.array_split(ends, -(-len(ends) // CHUNK)):
            at = part[:, None] + np.arange(1 - length, 1)  # [B, T], steps
            # A window ends before its last action is chosen.
            actions = episode.actions[at]
            actions[:, -1] = no_action(raw)
            columns = {
                "states": episode.observations[at],
                "actions": actions,
                "returns_to_go": left[at][..., None],
                "timesteps": np.minimum(at + raw.first_timestep, last),
                "attention_mask": np.ones(at.shape),
            }
            given = {
                name: array.astype(dtypes.get(name, "int64"))
                for name, array in columns.items()
                if name in dtypes or name in ("timesteps", "attention_mask")
            }
            answers[part] = run(given)[head.name].reshape(len(part), -1)
    return answers
