"""Play the episodes of a closed loop: ``close_loop`` for validation, ``compare`` for an export."""

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from dt_runtime import ArgumentError, Library, Policy
from dt_runtime.contract import Contract
from dt_runtime.engine import Engine
from dt_runtime.rollout import check_spaces

from dt_export.checkpoints import Checkpoint, Overrides
from dt_export.errors import UsageError
from dt_export.evaluation.environment import make_environment, name_of
from dt_export.graphs import graph_of
from dt_export.targets import Opened
from dt_export.validation.closed_loop import ClosedLoop, outcome
from dt_export.validation.eager_policy import EagerPolicy
from dt_export.validation.latency import latency
from dt_export.validation.paired import CONFIDENCE, EPISODES, LOOKS, TWO_PERCENT, Allowed
from dt_export.validation.pairing import pair
from dt_export.validation.pairs import Forced, Played, Sides, play_pair
from dt_export.validation.workers import OnPair, Players, Task

MOST_WORKERS = 8  # by default: each holds PyTorch, about 0.4 GB

OnEpisode = Callable[[int, int], None]
PlayAll = Callable[[Sequence[Task], OnPair], list[Played]]


@dataclass(frozen=True)
class FromFiles:
    """How a process opens an artifact, its checkpoint and an environment."""

    artifact: Path
    model: str | None
    overrides: Overrides
    provider: str
    environment: str | None  # as the user typed it; None takes the contract's

    def open(self) -> Sides:
        """Both sides.

        Raises:
            UsageError: one of the three cannot be opened.
        """
        opened, checkpoint = pair(self.artifact, self.model, self.overrides, self.provider)
        environment = make_environment(self.environment, opened.contract.environment)
        return _sides(opened, checkpoint, environment)


def close_loop(
    opened: Opened,
    checkpoint: Checkpoint,
    *,
    artifact: Path,
    model: str | None = None,
    overrides: Overrides | None = None,
    provider: str = "cpu",
    environment: str | None = None,
    episodes: int = EPISODES,
    target_returns: tuple[float, ...] | None = None,
    allowed: Allowed = TWO_PERCENT,
    until_sure: bool = False,
    workers: int | None = 1,
    forced_bound: float | None = None,
    seed: int = 0,
    on_episode: OnEpisode | None = None,
) -> ClosedLoop:
    """Play an artifact and eager PyTorch on the same seeds of an environment.

    Args:
        opened: the artifact, as ``pairing.pair`` opens it.
        checkpoint: as ``pairing.pair`` loads it.
        artifact: its path. This and the next three are what ``pair`` was called with: each worker
            calls it again.
        model: see ``pair``.
        overrides: see ``pair``.
        provider: see ``pair``.
        environment: the name that the user typed; None takes the contract's.
        episodes: how many for each target, on the seeds from ``seed`` on.
        target_returns: raw returns to ask for; None takes the contract's first one.
        allowed: how far mean returns may be apart.
        until_sure: double the episodes of targets that are undecided, up to 16 times as many. The
            confidence at each look is raised, so that looking again does no harm.
        workers: processes. 1 plays in this process, where an artifact that crashes ends it. None
            takes one for each core, 8 at most. More than one need a program that may be imported,
            with its calls below ``if __name__ == "__main__"``.
        forced_bound: what the forced error may be; None leaves it unjudged.
        on_episode: called with (pairs done, pairs in all); with ``until_sure`` that may grow.

    Raises:
        UsageError: the graph has no actions, the file has a fixed batch, the environment cannot be
            made or does not fit, or a number is out of range.
    """
    contract = opened.contract
    _check(contract, episodes, workers)
    name = name_of(environment, contract.environment)
    with ExitStack() as stack:
        made = make_environment(environment, contract.environment)
        stack.enter_context(closing(made))
        sides = _sides(opened, checkpoint, made)
        fits(sides.artifact, made, name)
        targets = _targets(sides.artifact, target_returns)
        count = min(workers or available_cores(), episodes * len(targets))
        play_all = _in_this_process(sides)
        if count > 1:
            recipe = FromFiles(artifact, model, overrides or Overrides(), provider, environment)
            play_all = stack.enter_context(Players(recipe, count)).play
        plan = _Plan(
            name, "eager", targets, episodes, allowed, until_sure, forced_bound, seed, traced=True
        )
        return plan.play(play_all, on_episode)


def compare(
    engine: Engine | Library,
    baseline: Engine | Library,
    environment: Any,
    name: str,
    *,
    episodes: int = EPISODES,
    allowed: Allowed = TWO_PERCENT,
    on_episode: OnEpisode | None = None,
) -> ClosedLoop:
    """Play a smaller precision and fp32 of the same graph, at the contract's first target return.

    It goes on until it is sure, up to 16 times as many episodes.

    Args:
        engine: of the smaller precision.
        baseline: of fp32.
        environment: it is not closed.
        name: of the environment.

    Raises:
        UsageError: the environment's spaces are not the policy's.
    """
    sides = Sides(Policy(baseline, batch_size=1), Policy(engine, batch_size=1), environment, "fp32")
    try:
        fits(sides.artifact, environment, name)
    except UsageError as error:
        hint = "export with --episodes 0, and returns are not compared"
        raise UsageError(f"{error}, or {hint}") from None
    targets = _targets(sides.artifact, None)
    plan = _Plan(name, "fp32", targets, episodes, allowed, until_sure=True)
    return plan.play(_in_this_process(sides), on_episode)


def available_cores() -> int:
    """How many processes to begin by default: a core each, ``MOST_WORKERS`` at most."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        cores = os.cpu_count() or 1
    return min(cores, MOST_WORKERS)


def fits(policy: Policy, environment: Any, name: str) -> None:
    """Raise UsageError if the environment's spaces are not the policy's."""
    try:
        check_spaces(policy, environment)
    except ArgumentError as error:
        raise UsageError(f"--env {name} does not fit this policy: {error}. Name another") from None


@dataclass(frozen=True)
class _Plan:
    """What is to be played, whoever plays it."""

    environment: str
    baseline: str
    targets: tuple[float, ...]
    episodes: int
    allowed: Allowed
    until_sure: bool
    forced_bound: float | None = None
    seed: int = 0
    traced: bool = False  # the first episode of each target

    def play(self, play_all: PlayAll, on_episode: OnEpisode | None) -> ClosedLoop:
        played: dict[float, list[Played]] = {target: [] for target in self.targets}
        done, total, size = 0, 0, self.episodes
        waiting = list(self.targets)

        def on_pair() -> None:
            nonlocal done
            done += 1
            if on_episode is not None:
                on_episode(done, total)

        for look in range(LOOKS if self.until_sure else 1):
            tasks = [
                task
                for target in waiting
                for task in self._tasks(target, len(played[target]), size)
            ]
            total += len(tasks)
            for task, result in zip(tasks, play_all(tasks, on_pair), strict=True):
                played[task.target_return].append(result)
            waiting = [target for target in waiting if self._is_open(played[target])]
            size = self.episodes * 2 ** (look + 1)
            if not waiting:
                break
        every = [result for target in self.targets for result in played[target]]
        return ClosedLoop(
            environment=self.environment,
            baseline=self.baseline,
            allowed=self.allowed.amount,
            pairs=tuple(result.pair for result in every),
            traces=tuple(result.trace for result in every if result.trace is not None),
            relative=self.allowed.relative,
            first_look=self.episodes if self.until_sure else None,
            forced_bound=self.forced_bound,
            latency=latency(np.concatenate([result.latencies for result in every])),
        )

    def _tasks(self, target: float, first: int, last: int) -> list[Task]:
        return [
            Task(self.seed + i, target, self.traced and i == 0, self.forced_bound)
            for i in range(first, last)
        ]

    def _is_open(self, played: list[Played]) -> bool:
        pairs = tuple(result.pair for result in played)
        first = self.episodes if self.until_sure else None
        return outcome(pairs, self.allowed, CONFIDENCE, first).verdict == "undecided"


def _in_this_process(sides: Sides) -> PlayAll:
    def play_all(tasks: Sequence[Task], on_pair: OnPair) -> list[Played]:
        results = []
        for task in tasks:
            results.append(play_pair(sides, task.seed, task.target_return, task.traced, task.bound))
            on_pair()
        return results

    return play_all


def _sides(opened: Opened, checkpoint: Checkpoint, environment: Any) -> Sides:
    return Sides(
        EagerPolicy(checkpoint, opened.contract),
        Policy(opened.engine, batch_size=1),
        environment,
        forced=Forced(opened.engine),
    )


def _check(contract: Contract, episodes: int, workers: int | None) -> None:
    """Raise UsageError for what cannot be played."""
    if not graph_of(contract).takes_observations:
        raise UsageError(
            f"a {contract.graph} graph takes embeddings and gives no action, so it cannot be "
            "played: validate it without --env, or export --graph policy, step or sequence"
        )
    if contract.batch_size not in (None, 1):
        raise UsageError(
            f"the file was made for a batch of {contract.batch_size} (--static-batch), and a "
            "closed loop plays one environment: validate it without --env, or export with "
            "--static-batch 1"
        )
    if episodes < 1:
        raise UsageError(f"--episodes is {episodes}, expected at least 1")
    if workers is not None and workers < 1:
        raise UsageError(f"--workers is {workers}, expected at least 1")


def _targets(policy: Policy, given: tuple[float, ...] | None) -> tuple[float, ...]:
    """The returns to ask for, each of which the policy takes."""
    contract = policy.contract
    conditioned = any(spec.name == "returns_to_go" for spec in contract.inputs)
    targets = given or contract.target_returns[:1] or (() if conditioned else (0.0,))
    if not targets:
        raise UsageError("--target-return is missing, and the contract names none")
    for target in targets:
        try:
            policy.reset(target)
        except ArgumentError as error:
            raise UsageError(f"--target-return: {error}") from None
    return tuple(dict.fromkeys(float(target) for target in targets))
