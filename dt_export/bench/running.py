"""``dt-export bench`` as a function: make the candidates, measure them in turn, report."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from dt_runtime import Contract

from dt_export import checkpoints
from dt_export.bench import attempts, catalogue, kinds, measuring, paced, synthetic
from dt_export.bench.candidate import Exports, Setting
from dt_export.bench.catalogue import Entry
from dt_export.bench.machine import machine
from dt_export.bench.measuring import Progress
from dt_export.bench.report import Model, Report
from dt_export.bench.sweep import Point, sweep_sizes
from dt_export.bench.timing import PRIMED
from dt_export.checkpoints import Checkpoint
from dt_export.errors import UsageError
from dt_export.facts import Overrides
from dt_export.process import interrupts
from dt_export.process.quiet import quietly
from dt_export.targets import read_contract
from dt_export.validation.pairing import pair

COLD_RUNS = 5
DEFAULT_MODEL = "hopper"


def bench(
    model: str | None = None,
    artifacts: Sequence[Path] = (),
    *,
    overrides: Overrides | None = None,
    candidates: Sequence[str] | None = None,
    steps: int = 500,
    threads: int = 1,
    batch: int = 1,
    primed: int = PRIMED,
    cold: bool = True,
    cold_runs: int = COLD_RUNS,
    sweep: bool = False,
    rate: float | None = None,
    seconds: float = 10.0,
    on_progress: Progress | None = None,
    on_model: Callable[[Path], None] | None = None,
) -> Report:
    """Measure one control step of a model, run in many ways.

    Args:
        model: a preset, a path or a hub id. Without it, the model that the first artifact names,
            or ``hopper`` where there is no artifact.
        artifacts: files to measure, next to the eager candidates. Without any, every candidate of
            the catalogue is exported to a temporary folder.
        overrides: facts of the model, as flags give them.
        candidates: keys of the catalogue, instead of those.
        steps: turns; each measures every candidate once.
        threads: of PyTorch and of ONNX Runtime.
        batch: rows of each step.
        primed: uncounted calls of a candidate right before each one that counts, as in a loop that
            does nothing but step. With 0 every candidate finds its weights and code where the
            others left them, as in a program that does much else between two steps.
        cold: measure fresh processes too: seconds to the first action, and peak memory.
        cold_runs: processes of each candidate.
        sweep: measure over window length, hidden size and batch, on synthetic checkpoints.
        rate: run every artifact's ``Policy.act`` that many times a second, for ``seconds``.
        on_progress: called with (what is being done, done, of how many or 0 if unknown).
        on_model: called with the checkpoint's path on this disk before anything is measured.

    Raises:
        UsageError: a model or artifact cannot be read, a candidate does not exist, a number is out
            of range, or the batch is more than this machine's memory holds. A candidate that is not
            available is in the report with its reason.
    """
    _check(steps=steps, threads=threads, batch=batch, cold_runs=cold_runs)
    if primed < 0:
        raise UsageError(f"--primed is {primed}, expected 0 or more")
    if rate is not None:
        paced.check(rate, seconds)
    if sweep:
        synthetic.check()
    say = on_progress or (lambda what, done, total: None)
    overrides = overrides or Overrides()
    entries = _entries(candidates, artifacts)
    notes: list[str] = []
    artifacts = tuple(dict.fromkeys(Path(path) for path in artifacts))
    contracts = {path: read_contract(path) for path in artifacts}
    checkpoint = _checkpoint(model, contracts, overrides, notes)
    stepwise = all(entry.slots is not None for entry in entries) and all(
        kinds.has_slots(contract.graph) for contract in contracts.values()
    )
    kinds.check_memory(checkpoint, batch, checkpoint.facts.context_length, stepwise)
    if on_model is not None:
        on_model(checkpoint.path)

    with interrupts.temporary_folder() as folder, _threads(threads), quietly():
        exports = Exports(folder, lambda file: say(f"exporting {file}", 0, 0))
        setting = Setting(checkpoint, exports, batch, threads, overrides)
        made = [
            *attempts.from_catalogue(entries, setting, say),
            *attempts.from_files(artifacts, setting),
        ]
        results, rates, baseline = measuring.latencies(
            made, setting, turns=steps, primed=primed, on_progress=say, notes=notes
        )
        if cold:
            results = measuring.with_cold_starts(
                results, made, runs=cold_runs, on_progress=say, notes=notes
            )
        loops = []
        if rate is not None:
            loops = measuring.paced_loops(
                made, rate=rate, seconds=seconds, on_progress=say, notes=notes
            )
        points: tuple[Point, ...] = ()
        if sweep and not any(loop.interrupted for loop in loops):
            points = sweep_sizes(
                synthetic.like(checkpoint.model.config),
                threads=threads,
                on_progress=lambda what, *count: say(f"sweep: {what}", *count),
            )
    return Report(
        model=_model(setting),
        machine=machine(),
        threads=threads,
        batch=batch,
        turns=steps,
        primed=primed,
        baseline=baseline,
        results=tuple(results),
        rates=rates,
        paced=tuple(loops),
        sweep=points,
        notes=tuple(notes),
    )


def _check(**numbers: int) -> None:
    for name, value in numbers.items():
        if value < 1:
            raise UsageError(f"--{name.replace('_', '-')} is {value}, expected at least 1")


def _entries(keys: Sequence[str] | None, artifacts: Sequence[Path]) -> tuple[Entry, ...]:
    """What to make ourselves: everything, or next to artifacts only their baselines."""
    if keys is None and artifacts:
        keys = catalogue.BASELINES
    return catalogue.chosen(keys)


def _checkpoint(
    model: str | None,
    contracts: Mapping[Path, Contract],
    overrides: Overrides,
    notes: list[str],
) -> Checkpoint:
    """The model to measure; next to artifacts with the context length of the first."""
    if not contracts:
        return checkpoints.load(model or DEFAULT_MODEL, overrides)
    first, contract = next(iter(contracts.items()))
    if not kinds.takes_observations(contract.graph):
        raise UsageError(
            f"{first} is a {contract.graph}, and bench measures policies, steps and sequences"
        )
    length = contract.context_length
    for path, other in contracts.items():
        if other.context_length != length:
            notes.append(
                f"{path} has K {other.context_length}, the others are measured at {length}"
            )
    _, checkpoint = pair(first, model, overrides, "cpu")
    return checkpoint.with_context_length(length)


def _model(setting: Setting) -> Model:
    checkpoint, config = setting.checkpoint, setting.checkpoint.model.config
    return Model(
        checkpoint.name,
        checkpoint.dialect,
        setting.length,
        config.hidden_size,
        config.n_layer,
        config.n_head,
        tuple(config.state_shape),
        config.act_dim,
    )


@contextmanager
def _threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
