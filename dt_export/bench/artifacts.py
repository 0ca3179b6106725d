"""Candidates that run an artifact through ``dt_runtime``, with the engine's share of each step."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
from dt_runtime import ArgumentError, Contract, Policy

from dt_export.bench import cold, kinds
from dt_export.bench.candidate import Candidate, Setting
from dt_export.errors import UsageError
from dt_export.evaluation.policies import open_engine
from dt_export.exporting import export

TARGET_RETURN = 1000.0  # raw; any value means the same work


class TimedEngine:
    """An engine that appends the nanoseconds of every run to ``runs``.

    ``Policy.act`` and the run inside it are timed in the same call, so their difference is what
    the policy adds.
    """

    def __init__(self, path: Path, threads: int = 1, context_length: int | None = None):
        self._engine = open_engine(path, "cpu", threads)
        contract = self._engine.contract
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
    options: dict[str, Any] = {} if slots is None else {"slots": slots}
    engine = TimedEngine(path, setting.threads, context_length)
    try:
        policy = Policy(engine, batch_size=setting.batch, **options)
    except ArgumentError as error:  # the batch or the slots do not fit this file
        raise UsageError(str(error)) from None
    policy.reset(TARGET_RETURN)
    observation = _observation(policy)
    reward = 0.0 if setting.batch == 1 else np.zeros(setting.batch)
    for _ in range(policy.contract.context_length + 1):  # after these the window is full
        policy.act(observation, reward)

    def step() -> None:
        policy.act(observation, reward)

    return Candidate(step, engine.runs, path, cold.runtime(path, options, setting.threads))


def _observation(policy: Policy) -> np.ndarray:
    rng, shape = np.random.default_rng(0), policy.contract.state.shape
    rows = () if policy.batch_size == 1 else (policy.batch_size,)
    if any(spec.dtype == "uint8" for spec in policy.contract.inputs):
        return rng.integers(0, 256, (*rows, *shape), np.uint8)
    return rng.standard_normal((*rows, *shape))
