"""From attempts to results: latencies with floors, cold starts, and paced loops."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from dt_export.bench import catalogue
from dt_export.bench.attempts import Attempt
from dt_export.bench.candidate import Setting
from dt_export.bench.cold import Cold, cold_starts
from dt_export.bench.floors import Probes, Rates, floor, probes
from dt_export.bench.paced import Paced, paced
from dt_export.bench.report import Result
from dt_export.bench.timing import Samples, interleave, latency
from dt_export.bench.work import Work, policy_work, step_work
from dt_export.errors import UsageError

Progress = Callable[[str, int, int], None]


def latencies(
    attempts: Sequence[Attempt],
    setting: Setting,
    *,
    turns: int,
    primed: int,
    on_progress: Progress,
    notes: list[str],
) -> tuple[list[Result], Rates | None, str | None]:
    """Measure all candidates and the machine itself in the same turns.

    Returns:
        A result for each attempt, the machine's rates or None where floors are not counted, and
        the key of the baseline or None where none was measured. ``notes`` gets what is missing.
    """
    ready = {a.key: a.candidate for a in attempts if a.candidate is not None}
    probed = _probes(setting, attempts, notes)
    on_progress("measuring", 0, turns)
    samples = interleave(
        ready | ({} if probed is None else dict(probed.candidates)),
        turns,
        primed=primed,
        on_turn=lambda done, total: on_progress("measuring", done, total),
    )
    rates = None if probed is None else probed.rates(samples)
    baseline = next((key for key in catalogue.BASELINES if key in samples), None)
    against = None if baseline is None else samples[baseline]
    results = [
        _result(attempt, samples.get(attempt.key), setting, rates, against) for attempt in attempts
    ]
    return results, rates, baseline


def with_cold_starts(
    results: Sequence[Result],
    attempts: Sequence[Attempt],
    *,
    runs: int,
    on_progress: Progress,
    notes: list[str],
) -> list[Result]:
    """The results with a cold start each, where there is a program for it and it did not fail."""
    programs = {a.key: a.candidate.cold for a in attempts if a.candidate and a.candidate.cold}
    on_progress("cold starts", 0, runs + 1)
    starts = cold_starts(programs, runs, lambda *turn: on_progress("cold starts", *turn))
    notes += [f"cold start of {key}: {s}" for key, s in starts.items() if isinstance(s, str)]
    seen = {key: start for key, start in starts.items() if isinstance(start, Cold)}
    return [replace(result, cold=seen.get(result.key)) for result in results]


def paced_loops(
    attempts: Sequence[Attempt],
    *,
    rate: float,
    seconds: float,
    on_progress: Progress,
    notes: list[str],
) -> list[Paced]:
    """A loop for each artifact that runs under a Policy. After Ctrl-C there are no more loops."""
    loops: list[Paced] = []
    for attempt in attempts:
        if attempt.candidate is None or attempt.candidate.runs is None:
            continue
        on_progress(f"{attempt.title} at {rate:g} Hz", 0, 0)
        loops.append(paced(attempt.candidate, attempt.key, attempt.title, rate, seconds))
        if loops[-1].interrupted:
            notes.append("interrupted while pacing: everything after that is left out")
            break
    if not loops:
        notes.append("--rate paces artifacts that a Policy runs, and none was measured")
    return loops


def _probes(setting: Setting, attempts: Sequence[Attempt], notes: list[str]) -> Probes | None:
    precisions = {a.precision for a in attempts if a.candidate is not None}
    try:
        config = setting.checkpoint.model.config
        made = probes(config, setting.length, setting.batch, precisions, setting.threads)
    except UsageError as error:
        notes.append(str(error))
        return None
    lacking = [precision for precision in sorted(precisions) if made.lacks(precision)]
    notes += [f"{precision}: no floor, this PyTorch has no such products" for precision in lacking]
    return made


def _result(
    attempt: Attempt,
    seen: Samples | None,
    setting: Setting,
    rates: Rates | None,
    against: Samples | None,
) -> Result:
    head = Result(attempt.key, attempt.title, attempt.reason, attempt.precision)
    if attempt.candidate is None or seen is None:
        return head
    step, file = latency(seen.step), attempt.candidate.file
    least = None if rates is None else floor(_work(attempt, setting), rates, attempt.precision)
    baseline = None if against is None else float(np.median(against.step)) * 1e6
    return replace(
        head,
        step=step,
        run=None if seen.run is None else latency(seen.run),
        overhead_us=None if seen.run is None else float(np.median(seen.step - seen.run) * 1e6),
        times_faster=None if baseline is None else baseline / step.p50_us,
        floor=least,
        distance=None if least is None else step.p50_us / least.floor_us,
        file_bytes=None if file is None else file.stat().st_size,
    )


def _work(attempt: Attempt, setting: Setting) -> Work:
    config, length, batch = setting.checkpoint.model.config, setting.length, setting.batch
    if attempt.slots is None:
        return policy_work(config, length, batch)
    return step_work(config, length, attempt.slots, batch)
