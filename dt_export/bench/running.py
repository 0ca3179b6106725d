"""``dt-export bench`` as a function: make the sides, measure them in turn, report."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from dt_runtime import Contract

from dt_export import checkpoints
from dt_export.bench import catalogue, made_up
from dt_export.bench.artifacts import onnx_file
from dt_export.bench.catalogue import Entry
from dt_export.bench.cold import cold_starts
from dt_export.bench.eager import torchscript_file
from dt_export.bench.floors import Probes, Rates, floor, probes
from dt_export.bench.machine import machine
from dt_export.bench.paced import Paced, paced
from dt_export.bench.paced import check as check_pace
from dt_export.bench.report import Model, Report, Result
from dt_export.bench.side import Exports, Setting, Side
from dt_export.bench.sweep import sweep as sweep_sizes
from dt_export.bench.timing import PRIMED, interleave, latency
from dt_export.bench.work import Work, policy_work, step_work
from dt_export.checkpoints import Checkpoint
from dt_export.errors import UsageError
from dt_export.facts import Overrides
from dt_export.graphs.backbone import GRAPH as BACKBONE
from dt_export.process import interrupts
from dt_export.process.quiet import quietly
from dt_export.targets import read_contract
from dt_export.validation import command

Progress = Callable[[str, int, int], None]
COLD_RUNS = 5
DEFAULT_MODEL = "hopper"
STEP_SLOTS = (1, 4)  # that an artifact of graph step is measured with: the least, the default


@dataclass(frozen=True)
class _Candidate:
    """A side before it is measured: made, or why not, and what its work is."""

    key: str
    title: str
    precision: str = "fp32"
    slots: int | None = None  # of a step; None for whole windows
    side: Side | None = None
    reason: str | None = None


def bench(
    model: str | None = None,
    artifacts: Sequence[Path] = (),
    *,
    overrides: Overrides | None = None,
    sides: Sequence[str] | None = None,
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
    """Measure one control step of a model every way it can be had.

    Args:
        model: a preset, a path or a hub id. Without it the model that the first artifact names,
            or ``hopper`` where there is no artifact.
        artifacts: files to measure, beside the eager sides. Without any, every side of the
            catalogue is exported to a temporary folder.
        overrides: facts of the model, as flags give them.
        sides: keys of the catalogue, in place of those.
        steps: turns; each calls every side once.
        threads: of PyTorch and of ONNX Runtime.
        batch: rows of each step.
        primed: uncounted calls of a side right before each one that counts, as in a loop that does
            nothing but step. With 0 every side finds its weights and code where the others have
            left them, as in a program that does much else between two steps.
        cold: measure fresh processes too: seconds to the first action, and peak memory.
        cold_runs: processes of each side.
        sweep: measure over window length, hidden size and batch, on made-up checkpoints.
        rate: run every artifact's ``Policy.act`` that many times a second, for ``seconds``.
        on_progress: called with (what is done now, done, of how many; 0 if not known).
        on_model: called with the checkpoint's place on this disk before anything is measured.

    Raises:
        UsageError: a model or artifact that cannot be read, a side that does not exist, or a
            number out of range. A side that cannot be had is in the report with its reason.
    """
    _check(steps=steps, threads=threads, batch=batch, cold_runs=cold_runs)
    if primed < 0:
        raise UsageError(f"--primed is {primed}, expected 0 or more")
    if rate is not None:
        check_pace(rate, seconds)
    if sweep:
        made_up.check()
    say = on_progress or (lambda what, done, total: None)
    overrides = overrides or Overrides()
    entries = _entries(sides, artifacts)
    notes: list[str] = []
    artifacts = tuple(dict.fromkeys(Path(path) for path in artifacts))
    checkpoint = _checkpoint(model, artifacts, overrides, notes)
    if on_model is not None:
        on_model(checkpoint.path)

    with interrupts.temporary_folder() as folder, _threads(threads), quietly():
        exports = Exports(folder, lambda file: say(f"exporting {file}", 0, 0))
        setting = Setting(checkpoint, exports, batch, threads, overrides)
        candidates = [*_made(entries, setting, say), *_opened(artifacts, setting)]
        results, rates, baseline = _measured(candidates, setting, steps, primed, say, notes)
        if cold:
            results = _with_cold_starts(results, candidates, cold_runs, say, notes)
        loops = [] if rate is None else _paced(candidates, rate, seconds, say, notes)
        points = ()
        if sweep and not any(loop.interrupted for loop in loops):
            sizes = made_up.like(checkpoint.model.config)
            points = sweep_sizes(
                sizes,
                threads=threads,
                on_progress=lambda what, *n: say(f"sweep: {what}", *n),
            )
    return Report(
        model=_model(checkpoint),
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


def _entries(sides: Sequence[str] | None, artifacts: Sequence[Path]) -> tuple[Entry, ...]:
    """What to make ourselves: all of it, or beside artifacts only what they are compared with."""
    if sides is None and artifacts:
        sides = catalogue.BASELINES
    return catalogue.chosen(sides)


def _checkpoint(
    model: str | None, artifacts: Sequence[Path], overrides: Overrides, notes: list[str]
) -> Checkpoint:
    """The model to measure; beside artifacts with the context length of the first."""
    if not artifacts:
        return checkpoints.load(model or DEFAULT_MODEL, overrides)
    contracts = {path: read_contract(path) for path in artifacts}
    first, contract = next(iter(contracts.items()))
    if contract.graph == BACKBONE:
        raise UsageError(f"{first} is a backbone, and bench takes policies, sequences and steps")
    length = contract.context_length
    for path, other in contracts.items():
        if other.context_length != length:
            notes.append(
                f"{path} has K {other.context_length}, and what it stands beside K {length}"
            )
    _, checkpoint = command.prepare(first, model, overrides, "cpu")
    return checkpoint.with_context_length(length)


def _made(entries: Sequence[Entry], setting: Setting, say: Progress) -> Iterator[_Candidate]:
    for index, entry in enumerate(entries):
        say(f"making {entry.title}", index, len(entries))
        side = why = None
        try:
            side = catalogue.make(entry, setting)
        except Exception as error:  # one side that cannot be had must not stop the others
            why = catalogue.reason(error)
        slots = (entry.slots or 1) if entry.graph == "step" else None
        yield _Candidate(entry.key, entry.title, entry.precision, slots, side, why)


def _opened(artifacts: Sequence[Path], setting: Setting) -> Iterator[_Candidate]:
    """A candidate for each artifact, and for each number of slots of a step."""
    alone = len({path.name for path in artifacts}) == len(artifacts)
    for path in artifacts:
        contract = read_contract(path)
        for slots in STEP_SLOTS if contract.graph == "step" else (None,):
            suffix = "" if slots is None else f", {slots} slot{'s' * (slots > 1)}"
            side = why = None
            try:
                side = _artifact(path, contract, setting, slots)
            except Exception as error:
                why = catalogue.reason(error)
            head = (f"{path}{suffix}", f"{path.name if alone else path}{suffix}")
            yield _Candidate(*head, contract.precision, slots, side, why)


def _artifact(path: Path, contract: Contract, setting: Setting, slots: int | None) -> Side:
    if contract.graph == BACKBONE:
        raise UsageError("a backbone takes embeddings, and bench has none to give")
    if path.suffix in (".onnx", ".ort"):
        return onnx_file(path, setting, slots)
    return torchscript_file(path, contract.inputs, setting)


def _measured(
    candidates: Sequence[_Candidate],
    setting: Setting,
    turns: int,
    primed: int,
    say: Progress,
    notes: list[str],
) -> tuple[list[Result], Rates | None, str | None]:
    """All sides and the machine itself in the same turns; (results, rates, baseline's key)."""
    ready = {c.key: c.side for c in candidates if c.side is not None}
    probed = _probes(setting, candidates, notes)
    probe_sides = {} if probed is None else probed.sides
    say("measuring", 0, turns)
    samples = interleave(
        ready | probe_sides,
        turns,
        primed=primed,
        on_turn=lambda done, total: say("measuring", done, total),
    )
    rates = None if probed is None else probed.rates(samples)
    baseline = next((key for key in catalogue.BASELINES if key in samples), None)
    results = []
    for candidate in candidates:
        head = (candidate.key, candidate.title, candidate.reason, candidate.precision)
        if candidate.side is None:
            results.append(Result(*head))
            continue
        seen, file = samples[candidate.key], candidate.side.file
        step = latency(seen.step)
        least = None if rates is None else floor(_work(candidate, setting), rates, head[3])
        against = None if baseline is None else float(np.median(samples[baseline].step))
        inside = seen.run is not None
        result = Result(
            *head,
            step=step,
            run=latency(seen.run) if inside else None,
            overhead_us=float(np.median(seen.step - seen.run) * 1e6) if inside else None,
            times_faster=None if against is None else against * 1e6 / step.p50_us,
            floor=least,
            distance=None if least is None else step.p50_us / least.floor_us,
            file_bytes=None if file is None else file.stat().st_size,
        )
        results.append(result)
    return results, rates, baseline


def _probes(setting: Setting, candidates: Sequence[_Candidate], notes: list[str]) -> Probes | None:
    precisions = {c.precision for c in candidates if c.side is not None}
    try:
        made = probes(setting.checkpoint.model.config, setting.length, setting.batch, precisions)
    except UsageError as error:
        notes.append(str(error))
        return None
    lacking = [precision for precision in sorted(precisions) if made.lacks(precision)]
    notes += [f"{precision}: no floor, this PyTorch has no such products" for precision in lacking]
    return made


def _work(candidate: _Candidate, setting: Setting) -> Work:
    config, length, batch = setting.checkpoint.model.config, setting.length, setting.batch
    if candidate.slots is None:
        return policy_work(config, length, batch)
    return step_work(config, length, candidate.slots, batch)


def _with_cold_starts(
    results: Sequence[Result],
    candidates: Sequence[_Candidate],
    runs: int,
    say: Progress,
    notes: list[str],
) -> list[Result]:
    programs = {c.key: c.side.cold for c in candidates if c.side is not None and c.side.cold}
    say("cold starts", 0, runs + 1)
    starts = cold_starts(programs, runs, lambda done, total: say("cold starts", done, total))
    failed = {key: start for key, start in starts.items() if isinstance(start, str)}
    notes.extend(f"cold start of {key}: {why}" for key, why in failed.items())
    return [
        replace(result, cold=starts[result.key])
        if result.key in starts and result.key not in failed
        else result
        for result in results
    ]


def _paced(
    candidates: Sequence[_Candidate], rate: float, seconds: float, say: Progress, notes: list[str]
) -> list[Paced]:
    """A loop for each artifact that runs under a Policy; Ctrl-C ends the last of them."""
    loops: list[Paced] = []
    for candidate in candidates:
        if candidate.side is None or candidate.side.runs is None:
            continue
        say(f"{candidate.title} at {rate:g} Hz", 0, 0)
        loops.append(paced(candidate.side, candidate.key, candidate.title, rate, seconds))
        if loops[-1].interrupted:
            notes.append("interrupted while pacing: what was to come after it is left out")
            break
    if not loops:
        notes.append("--rate paces artifacts of graph policy or step, and none was measured")
    return loops


def _model(checkpoint: Checkpoint) -> Model:
    config = checkpoint.model.config
    return Model(
        checkpoint.name,
        checkpoint.dialect,
        checkpoint.facts.context_length,
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
