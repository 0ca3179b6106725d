"""Episodes side by side in a Gymnasium vector environment, in each of its autoreset modes.

What happens when row r is done differs by mode, and so does when its policy row begins anew:

- ``SAME_STEP``: ``step`` returns the first observation of the next episode already.
- ``NEXT_STEP``: ``step`` returns the last observation of the old episode. The next ``step``
  ignores the row's action and returns the first observation of the next episode. In between the
  row rests.
- ``DISABLED``: ``step`` returns the last observation. ``reset`` with a mask of the rows that are
  done returns their first ones, with a seed each.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from dt_runtime.episode import Episode
from dt_runtime.errors import ArgumentError
from dt_runtime.policy import Policy

NEXT_STEP, SAME_STEP, DISABLED = "NextStep", "SameStep", "Disabled"
MODES = (NEXT_STEP, SAME_STEP, DISABLED)


@dataclass
class _Row:
    """The episode that a row of the environment is playing."""

    index: int  # episodes that were not asked for have indices beyond the last one
    seed: int | None
    target_return: float
    total: float = 0.0
    latencies: list[float] = field(default_factory=list)


def vector_rollout(
    policy: Policy,
    env: Any,
    episodes: int,
    target_return: float | None,
    seed: int | None,
    max_steps: int | None,
    on_step: Callable[[int, int, float], None] | None,
) -> list[Episode]:
    """Play episodes in all rows of a vector environment; see ``rollout``."""
    mode, count = autoreset_mode(env), int(env.num_envs)
    if policy.batch_size != count:
        raise ArgumentError(
            f"the vector environment has num_envs = {count}, and the policy's batch_size is "
            f"{policy.batch_size}: make the policy with batch_size={count}"
        )
    if max_steps is not None and mode != DISABLED and episodes > count:
        raise ArgumentError(
            f"max_steps = {max_steps} cannot end an episode of an environment that resets itself "
            f"({mode}): give the environment a time limit (gymnasium.make_vec(..., "
            "max_episode_steps=...)), or make it with autoreset_mode DISABLED"
        )
    if episodes < 1:
        return []
    finished: dict[int, Episode] = {}
    observations, _ = env.reset(seed=seed)
    policy.reset(target_return)
    asked = policy.returns_to_go
    rows = [
        _Row(row, None if seed is None else seed + row, float(asked[row])) for row in range(count)
    ]
    rewards: np.ndarray | None = None
    resting = np.zeros(count, bool)  # their next step gives a first observation and nothing else
    while True:
        if resting.any():
            # The end of an episode is behind them, and its observation need not even be finite.
            observations = np.array(observations)
            observations[resting] = 0
        begin = perf_counter()
        actions = policy.act(observations, rewards)
        latency = perf_counter() - begin
        observations, rewards, terminated, truncated, _ = env.step(actions)
        ended = np.zeros(count, bool)
        for number in np.flatnonzero(~resting):
            row = rows[number]
            row.latencies.append(latency)
            row.total += float(rewards[number])
            length, counted = len(row.latencies), row.index < episodes
            if counted and on_step is not None:
                on_step(row.index, length, row.total)
            ended[number] = terminated[number] or truncated[number] or length == max_steps
            if counted and ended[number]:
                finished[row.index] = Episode(
                    row.seed, row.target_return, row.total, length,
                    bool(terminated[number]), np.array(row.latencies),
                )  # fmt: skip
        if len(finished) == episodes:
            return [finished[index] for index in range(episodes)]
        for number in np.flatnonzero(ended):
            index = rows[number].index + count
            own_seed = None if seed is None or mode != DISABLED else seed + index
            rows[number] = _Row(index, own_seed, float(asked[number]))
        if mode == DISABLED and ended.any():
            seeds = [row.seed if over else None for row, over in zip(rows, ended, strict=True)]
            observations, _ = env.reset(seed=seeds, options={"reset_mask": ended.copy()})
        # A row that rests is reset too, before and after: it must not grow beyond max_ep_len.
        begins = ended | resting
        if begins.any():
            policy.reset(target_return, rows=begins)
        if mode == NEXT_STEP:
            resting = ended


def autoreset_mode(env: Any) -> str:
    """How a vector environment resets rows that are done: one of ``MODES``.

    Raises:
        ValueError: its metadata do not say.
    """
    metadata = getattr(env, "metadata", None) or {}
    mode = metadata.get("autoreset_mode")
    mode = getattr(mode, "value", mode)  # of Gymnasium's enumeration
    if mode not in MODES:
        raise ArgumentError(
            f"the vector environment's metadata have autoreset_mode = {mode!r}, expected one of "
            f"{', '.join(MODES)}: set env.metadata['autoreset_mode'] to what it does when an "
            "episode ends (Gymnasium 1.0 does NextStep)"
        )
    return str(mode)
