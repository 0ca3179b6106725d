"""One episode whose end is always told: what was played, and what went wrong and on which side."""

from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from dt_runtime import Episode, OutputError, Policy, rollout
from dt_runtime.contract import Contract
from dt_runtime.inputs import NotFiniteError

from dt_export.process.terminal import one_line


class Plays(Protocol):
    """What an episode needs of a policy for one environment."""

    batch_size: int

    @property
    def contract(self) -> Contract: ...

    @property
    def returns_to_go(self) -> np.ndarray: ...

    def reset(self, target_return: float | None = None) -> None: ...

    def act(self, observation: np.ndarray, reward: float | None = None) -> np.ndarray: ...


@dataclass(frozen=True)
class Watched:
    """An episode as far as it went."""

    first: np.ndarray | None  # the first observation
    actions: tuple[np.ndarray, ...]  # [A] each, or indices []
    total_return: float  # raw; NaN if the episode was not played to its end
    terminated: bool  # false where a time limit ended it
    latencies: np.ndarray  # seconds of each act, [length]
    problem: str | None = None  # what went wrong

    @property
    def length(self) -> int:
        return len(self.actions)


def watch(policy: Plays, environment: Any, target_return: float, seed: int) -> Watched:
    """Play one episode as ``dt_runtime.rollout`` does.

    Whatever the policy or the environment raises, ``SystemExit`` included, ends the episode and
    becomes its ``problem``. KeyboardInterrupt passes through.
    """
    watcher, problem, episode = _Watcher(policy), None, None
    try:
        (episode,) = rollout(
            cast(Policy, watcher), environment, target_return=target_return, seed=seed
        )
        if not np.isfinite(episode.total_return):
            problem = f"the return is {episode.total_return}: the environment gave such a reward"
    except _ActError as error:
        problem = str(error)
    except SystemExit as error:  # it would pass for the end of the command
        problem = f"the environment called sys.exit, exit code {error.code}"
    except Exception as error:  # the environment's own code may raise anything
        problem = f"the environment raised {named(error)}"
    if problem is not None:
        problem = one_line(f"{problem} (step {len(watcher.actions)})")
    return _watched(watcher, episode, problem)


def _watched(watcher: "_Watcher", episode: Episode | None, problem: str | None) -> Watched:
    actions = tuple(watcher.actions)
    if episode is None:
        return Watched(watcher.first, actions, np.nan, False, np.zeros(0), problem)
    total = float(episode.total_return)
    return Watched(watcher.first, actions, total, episode.terminated, episode.latencies, problem)


class _ActError(Exception):
    """``act`` raised: the message says whose fault it is."""


class _Watcher:
    """A policy that keeps its actions, and whose errors can be told from the environment's."""

    def __init__(self, policy: Plays):
        self._policy = policy
        self.first: np.ndarray | None = None
        self.actions: list[np.ndarray] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._policy, name)

    def act(self, observation: Any, reward: Any) -> np.ndarray:
        if self.first is None:
            self.first = np.array(observation)
        try:
            action = self._policy.act(observation, reward)
        except OutputError as error:
            raise _ActError(str(error)) from error
        except (NotFiniteError, ValueError) as error:
            what = f"the environment does not keep to its spaces: {error}"
            raise _ActError(what) from error
        except Exception as error:  # an engine may raise anything
            raise _ActError(f"the policy raised {named(error)}") from error
        self.actions.append(np.array(action))
        return action


def named(error: BaseException) -> str:
    """An error for a message: its type and its first line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'without a message'}"
