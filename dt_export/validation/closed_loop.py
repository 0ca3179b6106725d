"""Closed-loop validation: does a smaller precision still earn the same return?

Single actions of fp16, bf16 and int8 differ from eager PyTorch by more than rounding, so that alone
does not say whether they still walk. Both sides play the same seeds of the same environment.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from dt_runtime import ArgumentError, Library, Policy, rollout
from dt_runtime.engine import Engine
from dt_runtime.rollout import check_spaces

from dt_export.errors import CheckError, UsageError

LIMIT = 0.02  # of the mean return
EPISODES = 20


@dataclass(frozen=True)
class ClosedLoop:
    """Raw returns of both sides, one an episode; episode i began with seed i."""

    environment: str
    target_return: float
    returns: tuple[float, ...]
    expected: tuple[float, ...]  # of the same graph in fp32
    limit: float = LIMIT

    @property
    def mean(self) -> float:
        return float(np.mean(self.returns))

    @property
    def expected_mean(self) -> float:
        return float(np.mean(self.expected))

    @property
    def change(self) -> float:
        """How far the mean return is from the expected one, as a part of it."""
        return (self.mean - self.expected_mean) / max(abs(self.expected_mean), 1e-9)

    @property
    def passed(self) -> bool:
        return abs(self.change) <= self.limit


def compare(
    engine: Engine | Library,
    baseline: Engine | Library,
    env: Any,
    name: str,
    target_return: float | None,
    episodes: int = EPISODES,
    on_episode: Callable[[int, int], None] | None = None,
) -> ClosedLoop:
    """Play both engines or libraries in the environment ``env``, which is called ``name``.

    Args:
        on_episode: called with (episodes done, episodes in all).

    Raises:
        UsageError: the environment's spaces are not the policy's.
        CheckError: an episode could not be played to its end, or has no return.
    """
    done, returns = 0, []
    for side in (baseline, engine):
        policy, mine = Policy(side, batch_size=1), []
        _fits(policy, env, name)
        for seed in range(episodes):
            mine.append(_return(policy, env, name, target_return, seed))
            done += 1
            if on_episode is not None:
                on_episode(done, 2 * episodes)
        returns.append(tuple(mine))
    asked = float(policy.contract.target_returns[0]) if target_return is None else target_return
    return ClosedLoop(name, asked, returns[1], returns[0])


def _fits(policy: Policy, env: Any, name: str) -> None:
    try:
        check_spaces(policy, env)
    except ArgumentError as error:
        raise UsageError(
            f"--env {name} does not fit this checkpoint: {error}. Name another, or export with "
            "--episodes 0, and returns are not compared"
        ) from None


def _return(policy: Policy, env: Any, name: str, target_return: float | None, seed: int) -> float:
    """The return of an episode: whatever goes wrong in it is a failed check, no missing one."""
    precision = policy.contract.precision
    try:
        (episode,) = rollout(policy, env, target_return=target_return, seed=seed)
    except (Exception, SystemExit) as error:
        what = f"{type(error).__name__}: {error}"
        raise CheckError(
            f"{precision} could not be played in {name}, seed {seed}: {what}; nothing was written"
        ) from error
    if not np.isfinite(episode.total_return):
        raise CheckError(
            f"{precision} earns {episode.total_return} in {name}, seed {seed}; nothing was written"
        )
    return episode.total_return
