"""Whole episodes of a policy in a Gymnasium-like environment."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from dt_runtime.policy import Policy


@dataclass(frozen=True)
class Episode:
    """What came of an episode. Returns are raw; latencies are seconds of each ``Policy.act``."""

    seed: int | None
    target_return: float
    total_return: float
    length: int  # steps
    terminated: bool  # false where a time limit ended it
    latencies: np.ndarray  # [length]


def rollout(
    policy: Policy,
    env: Any,
    episodes: int = 1,
    *,
    target_return: float | None = None,
    seed: int | None = None,
    max_steps: int | None = None,
    on_step: Callable[[int, int, float], None] | None = None,
) -> list[Episode]:
    """Run episodes one after another.

    Args:
        policy: of batch size 1; it is reset at the start of each episode.
        env: ``reset(seed=...)`` gives (observation, info), ``step(action)`` gives (observation,
            reward, terminated, truncated, info).
        target_return: the raw return to ask for; without it, the contract's first target.
        seed: episode ``i`` is reset with ``seed + i``; without it the environment chooses.
        max_steps: ends an episode as truncated after that many steps.
        on_step: called after each step with (episode, steps so far, return so far).

    Raises:
        ValueError: more than one row, or spaces of the environment that contradict the contract.
    """
    if policy.batch_size != 1:
        raise ValueError(f"rollout runs one environment, and batch_size is {policy.batch_size}")
    check_spaces(policy, env)
    results = []
    for index in range(episodes):
        episode_seed = None if seed is None else seed + index
        observation, _ = env.reset(seed=episode_seed)
        policy.reset(target_return)
        asked = float(policy.returns_to_go[0])
        reward, total, latencies = None, 0.0, []
        terminated = truncated = False
        while not (terminated or truncated):
            begin = perf_counter()
            action = policy.act(observation, reward)
            latencies.append(perf_counter() - begin)
            observation, reward, terminated, truncated, _ = env.step(action)
            total += float(reward)
            truncated = truncated or len(latencies) == max_steps
            if on_step is not None:
                on_step(index, len(latencies), total)
        results.append(
            Episode(
                episode_seed, asked, total, len(latencies), bool(terminated), np.array(latencies)
            )
        )
    return results


def check_spaces(policy: Policy, env: Any) -> None:
    """The environment's observation and action must have the contract's shapes.

    Raises:
        ValueError: they do not.
    """
    contract, action = policy.contract, env.action_space
    choices = getattr(action, "n", None)
    if (contract.action.kind == "discrete") != (choices is not None):
        raise ValueError(f"the environment's action is {action}, the artifact's {contract.action}")
    if choices is not None and choices != contract.action.size:
        raise ValueError(
            f"the environment has {choices} actions, and the artifact {contract.action.size}"
        )
    pairs = [("observation", env.observation_space, contract.state.shape)]
    if choices is None:
        pairs.append(("action", action, (contract.action.size,)))
    for name, space, expected in pairs:
        if space.shape is not None and tuple(space.shape) != tuple(expected):
            raise ValueError(
                f"the environment's {name} has shape {tuple(space.shape)}, and the artifact "
                f"expects {tuple(expected)}"
                + (f": it was made for {contract.environment}" if contract.environment else "")
            )
