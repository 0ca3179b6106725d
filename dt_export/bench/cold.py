"""From process start to the first action, and peak memory, each in fresh processes.

The clock starts before the process does and stops inside it, after the first action. What runs in
those processes is in ``programs/``.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from dt_runtime.contract import TensorSpec

from dt_export.errors import UsageError
from dt_export.facts import Overrides

SECONDS = 120.0  # what one process may take

PROGRAMS = Path(__file__).parent / "programs"
MAIN = PROGRAMS / "fresh.py"


@dataclass(frozen=True)
class Program:
    """A file with ``first_action(given)``, and what that is given: JSON, ``threads`` always.

    A ``native`` one is a program by itself, and prints what ``fresh.py`` prints.
    """

    file: Path
    given: Mapping[str, Any]
    native: bool = False

    @property
    def command(self) -> list[str]:
        if self.native:
            return [str(self.file)]
        # -P: else the programs' folder would be on the path, where `transformers` is one of ours.
        python = [sys.executable, "-P", "-W", "ignore"]
        return [*python, str(MAIN), str(self.file), json.dumps(self.given)]


@dataclass(frozen=True)
class Cold:
    """Medians over fresh processes. The peak is None where the system does not report one."""

    first_action_s: float
    peak_bytes: int | None
    runs: int


def transformers(path: Path, threads: int) -> Program:
    return _program("transformers", threads, path=str(path))


def eager(path: Path, overrides: Overrides, specs: Sequence[TensorSpec], threads: int) -> Program:
    """Our model of a checkpoint; ``specs`` are the inputs of its forward pass."""
    flags = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(overrides).items()}
    flags["revision"] = None  # the path is what that revision was fetched to
    inputs = {spec.name: _smallest(spec) for spec in specs}
    return _program("eager", threads, path=str(path), overrides=flags, inputs=inputs)


def torchscript(path: Path, specs: Sequence[TensorSpec], threads: int) -> Program:
    inputs = [_smallest(spec) for spec in specs]
    return _program("torchscript", threads, path=str(path), inputs=inputs)


def bare_onnx(path: Path, threads: int) -> Program:
    return _program("bare_onnx", threads, path=str(path))


def runtime(path: Path, options: Mapping[str, Any], threads: int) -> Program:
    """An artifact through ``dt_runtime`` alone; ``options`` are keywords of ``Policy``."""
    return _program("runtime", threads, path=str(path), options=dict(options))


def native(path: Path) -> Program:
    """A program for this machine, compiled from ``first_action.c``."""
    return Program(path, {"threads": 1}, native=True)


def cold_starts(
    programs: Mapping[str, Program],
    runs: int,
    on_run: Callable[[int, int], None] | None = None,
) -> dict[str, Cold | str]:
    """Medians of ``runs`` fresh processes of each program, in turn; a string says what failed.

    One more process of each runs first, uncounted: it warms the disk cache.

    Raises:
        UsageError: fewer than one run.
    """
    if runs < 1:
        raise UsageError(f"the number of cold runs is {runs}, expected at least 1")
    seen: dict[str, list[tuple[float, int | None]]] = {name: [] for name in programs}
    failed: dict[str, str] = {}
    for turn in range(runs + 1):
        for name, program in programs.items():
            if name in failed:
                continue
            try:
                seen[name].append(fresh(program))
            except UsageError as error:
                failed[name] = str(error)
        if on_run is not None:
            on_run(turn + 1, runs + 1)
    return {name: failed.get(name) or _median(seen[name][1:]) for name in programs}


def fresh(program: Program) -> tuple[float, int | None]:
    """Run a program in a fresh process: (seconds to its first action, peak bytes or None).

    Raises:
        UsageError: it fails, or takes too long.
    """
    environment = os.environ | {
        "OMP_NUM_THREADS": str(program.given["threads"]),
        "HF_HUB_OFFLINE": "1",
    }
    begin = time.monotonic_ns()  # one clock for all processes of a machine
    try:
        done = subprocess.run(
            program.command, env=environment, capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        raise UsageError(f"no first action after {SECONDS:g} s") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UsageError(lines[-1])
    report = json.loads(done.stdout.splitlines()[-1])
    return (report["end_ns"] - begin) * 1e-9, report["peak"]


def _program(name: str, threads: int, **given: Any) -> Program:
    return Program(PROGRAMS / f"{name}.py", given | {"threads": threads})


def _smallest(spec: TensorSpec) -> tuple[list[int], str]:
    """(shape, dtype) with symbolic axes of size 1."""
    return [1 if isinstance(axis, str) else axis for axis in spec.shape], spec.dtype


def _median(seen: list[tuple[float, int | None]]) -> Cold:
    peaks = [peak for _, peak in seen if peak is not None]
    peak = int(median(peaks)) if len(peaks) == len(seen) else None
    return Cold(median(seconds for seconds, _ in seen), peak, len(seen))
