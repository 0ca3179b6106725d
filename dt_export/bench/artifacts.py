"""Candidates that run an artifact through ``dt_runtime``, with the engine's share of each step."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
from dt_runtime import ArgumentError, Contract, Engine, Library, Policy

from dt_export.bench import cold, kinds
from dt_export.bench.candidate import Candidate, Setting
from dt_export.bench.observations import TARGET_RETURN, observation_of
from dt_export.errors import UsageError
from dt_export.evaluation.policies import open_engine
from dt_export.exporting import export


class TimedEngine:
    """An engine that appends the nanoseconds of every run to ``runs``.

    ``Policy.act`` and the run inside it are timed in the same call, so their difference is what
    the policy adds.
    """

    def __init__(self, engine: Engine, context_length: int | None = None):
        self._engine = engine
        contract = engine.contract
        if context_length is not None:
            contract = replace(contract, context_length=context_length)
        self.contract: Contract = contract
        self.runs: list[int] = []

    def __getattr__(self, name: str) -> Any:  # whatever else a Policy uses of its engine
        return getattr(self._engine, name)

    def bind(
        self, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> Callable[[], None]:
        run, note = self._engine.bind(inputs, outputs), self.runs.append

        def timed() -> None:
            begin = perf_counter_ns()
            run()
            note(perf_counter_ns() - begin)

        return timed


def exported(setting: Setting, graph: str, precision: str, slots: int | None) -> Candidate:
    """Our own export of the setting's checkpoint, made if there is none yet.

    Raises:
        UsageError: this model has no such graph or precision.
    """
    # One file of windows serves every K; caches have a size, so there each K needs its own file.
    of_length = f"_{setting.length}" if kinds.has_slots(graph) else ""
    path = setting.exports.made(
        f"{graph}_{precision}{of_length}.onnx",
        lambda path: export(
            setting.checkpoint, "onnx", path, graph=graph, precision=precision, validate=False
        ),
    )
    return runtime_file(path, setting, slots, setting.length)


def runtime_file(
    path: Path, setting: Setting, slots: int | None = None, context_length: int | None = None
) -> Candidate:
    """``Policy.act`` of an artifact at a full window.

    Args:
        slots: of a step graph.
        context_length: K in place of the contract's; only for files whose axes are dynamic.

    Raises:
        UsageError: the file cannot be read, or does not take this batch or number of slots.
    """
    engine = open_engine(path, "cpu", setting.threads)
    assert not isinstance(engine, Library)  # which compiled.py measures
    options: dict[str, Any] = {} if slots is None else {"slots": slots}
    timed = TimedEngine(engine, context_length)
    program = cold.runtime(path, options, setting.threads)
    return replace(driven(timed, setting, **options), file=path, cold=program)


def driven(engine: TimedEngine, setting: Setting, **options: Any) -> Candidate:
    """``Policy.act`` on an engine at a full window; ``options`` are keywords of ``Policy``.

    Raises:
        UsageError: the engine does not take this batch or number of slots.
    """
    try:
        policy = Policy(engine, batch_size=setting.batch, **options)
    except ArgumentError as error:
        raise UsageError(str(error)) from None
    policy.reset(TARGET_RETURN)
    observation, reward = observation_of(policy)
    for _ in range(policy.contract.context_length + 1):  # after these the window is full
        policy.act(observation, reward)

    def step() -> None:
        policy.act(observation, reward)

    return Candidate(step, engine.runs)
