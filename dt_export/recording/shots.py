"""An environment that is filmed: what a policy saw and did at each step."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dt_export.evaluation.watched import Plays
from dt_export.recording.offscreen import picture


@dataclass(frozen=True)
class Shot:
    """One step, and what the environment looked like after it.

    ``return_to_go`` is raw, and what the policy saw at this step; None for a policy without one.
    """

    step: int  # counted from 1
    picture: np.ndarray  # [H, W, 3], uint8
    return_to_go: float | None
    reward: float
    total: float  # rewards so far
    action: tuple[float, ...]  # raw; of a discrete policy the index
    end: str = ""  # how the episode ended: terminated or truncated


class Filmed:
    """A Gymnasium environment that hands every ``every``-th step to ``see``, and the last one.

    Only the first ``episodes`` episodes are filmed; it does not render later ones.
    """

    def __init__(
        self,
        env: Any,
        policy: Plays,
        see: Callable[[Shot], None],
        *,
        name: str = "the environment",
        every: int = 1,
        episodes: int = 1,
    ):
        self._env, self._policy, self._see = env, policy, see
        self._name, self._every, self._left = name, every, episodes
        self._step, self._total = 0, 0.0
        self._conditioned = any(s.name == "returns_to_go" for s in policy.contract.inputs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def reset(self, **options: Any) -> Any:
        self._step, self._total = 0, 0.0
        return self._env.reset(**options)

    def step(self, action: Any) -> Any:
        result = _, reward, terminated, truncated, _ = self._env.step(action)
        self._step, self._total = self._step + 1, self._total + float(reward)
        over = bool(terminated or truncated)
        if self._left and (over or self._step % self._every == 0):
            self._see(self._shot(action, float(reward), bool(terminated), over))
        self._left -= over and self._left > 0
        return result

    def _shot(self, action: Any, reward: float, terminated: bool, over: bool) -> Shot:
        asked = float(self._policy.returns_to_go[0]) if self._conditioned else None
        end = ("terminated" if terminated else "time limit") if over else ""
        done = tuple(np.asarray(action, np.float64).ravel().tolist())
        seen = picture(self._env, self._name)
        return Shot(self._step, seen, asked, reward, self._total, done, end)


def shots(
    policy: Plays,
    env: Any,
    *,
    seed: int | None = None,
    target_return: float | None = None,
    every: int = 1,
    name: str = "the environment",
) -> Iterator[Shot]:
    """Play one episode, and give every ``every``-th step of it and the last one."""
    seen: list[Shot] = []
    filmed = Filmed(env, policy, seen.append, name=name, every=every)
    observation, _ = filmed.reset(seed=seed)
    policy.reset(target_return)
    reward, over = None, False
    while not over:
        action = policy.act(observation, reward)
        observation, reward, terminated, truncated, _ = filmed.step(action)
        over = bool(terminated or truncated)
        yield from seen
        seen.clear()
