"""Whole episodes of a policy in a Gymnasium environment or vector environment."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from dt_runtime.episode import Episode
from dt_runtime.errors import ArgumentError
from dt_runtime.policy import Policy
from dt_runtime.spaces import check_spaces, is_vector
from dt_runtime.vector_rollout import vector_rollout

__all__ = ["Episode", "check_spaces", "rollout"]


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
    """Play episodes: one after another, or side by side in a vector environment.

    A vector environment needs a policy whose ``batch_size`` is ``env.num_envs``. All three of
    Gymnasium's autoreset modes are supported. Row ``r`` plays the episodes ``r``, ``r + num_envs``
    and so on, so that every row plays its share: taking the episodes that end first would favour
    short ones.

    Args:
        policy: it is reset at the start of each episode.
        env: ``reset(seed=...)`` gives (observation, info), ``step(action)`` gives (observation,
            reward, terminated, truncated, info).
        episodes: how many episodes to play.
        target_return: the raw return to ask for. The default is the contract's first target.
        seed: episode ``i`` is reset with ``seed + i``; without it the environment chooses. A vector
            environment that resets itself (``NEXT_STEP``, ``SAME_STEP``) takes a seed only for the
            first episode of each row and continues with its own random numbers.
        max_steps: truncates an episode after that many steps.
        on_step: called after each step with (episode, steps so far, return so far).

    Returns:
        The episodes in the order of their numbers.

    Raises:
        ValueError: ``batch_size`` is not the number of environments, the environment's spaces
            contradict the contract, a vector environment does not name its autoreset mode, or
            ``max_steps`` would have to cut short a row that resets itself.
    """
    check_spaces(policy, env)
    if is_vector(env):
        return vector_rollout(policy, env, episodes, target_return, seed, max_steps, on_step)
    if policy.batch_size != 1:
        raise ArgumentError(
            f"batch_size is {policy.batch_size}, and this is a single environment: make the policy "
            "with batch_size=1, or pass a vector environment (gymnasium.make_vec)"
        )
    results: list[Episode] = []
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
