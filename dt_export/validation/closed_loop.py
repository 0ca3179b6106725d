"""Closed-loop validation: does a smaller precision still earn the same return?

Single actions of fp16 and int8 differ from eager PyTorch by more than rounding, so that alone does
not say whether they still walk. Both sides play the same seeds of the same environment.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from dt_runtime import Policy, rollout
from dt_runtime.engine import Engine

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
    engine: Engine,
    baseline: Engine,
    environment: str,
    target_return: float | None,
    episodes: int = EPISODES,
    on_episode: Callable[[int, int], None] | None = None,
) -> ClosedLoop:
    """Play both engines; ``on_episode`` is called with (episodes done, episodes in all).

    Raises:
        UsageError: the environment cannot be made.
    """
    from dt_export.running import make_environment

    env = make_environment(environment, engine.contract)
    done, returns = 0, []
    for side in (baseline, engine):
        policy, mine = Policy(side, batch_size=1), []
        for seed in range(episodes):
            (episode,) = rollout(policy, env, target_return=target_return, seed=seed)
            mine.append(episode.total_return)
            done += 1
            if on_episode is not None:
                on_episode(done, 2 * episodes)
        returns.append(tuple(mine))
    asked = float(policy.contract.target_returns[0]) if target_return is None else target_return
    return ClosedLoop(environment, asked, returns[1], returns[0])
