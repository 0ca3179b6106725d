"""From process start to the first action, and peak memory, each in fresh processes.

The clock starts before the process does and stops inside it, after the first action. The peak is
VmHWM of /proc/self/status: ``ru_maxrss`` would begin with the memory of the parent.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from dt_runtime.contract import TensorSpec

from dt_export.errors import UsageError
from dt_export.facts import Overrides

SECONDS = 120.0  # what one process may take

BEGIN = "import json, sys; given = json.loads(sys.argv[1])\n"
END = """
import time
end = time.monotonic_ns()
peak = None
try:
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
except (OSError, StopIteration):
    pass
print(json.dumps({"end_ns": end, "peak": peak}))
"""

TRANSFORMERS = """
import torch
from transformers import DecisionTransformerModel
torch.set_num_threads(given["threads"])
model = DecisionTransformerModel.from_pretrained(given["path"]).eval()
config = model.config
with torch.no_grad():
    model(
        states=torch.zeros(1, 1, config.state_dim),
        actions=torch.zeros(1, 1, config.act_dim),
        returns_to_go=torch.zeros(1, 1, 1),
        timesteps=torch.zeros(1, 1, dtype=torch.int64),
        attention_mask=torch.ones(1, 1, dtype=torch.int64),
    )
"""
EAGER = """
from pathlib import Path
import torch
from dt_export import Overrides, load
from dt_export.graphs import GRAPHS
torch.set_num_threads(given["threads"])
overrides = given["overrides"]
if overrides["stats"] is not None:
    overrides["stats"] = Path(overrides["stats"])
model = load(given["path"], Overrides(**overrides)).model
inputs = {}
for spec in GRAPHS["sequence"].input_specs(model.config):
    shape = [1 if isinstance(axis, str) else axis for axis in spec.shape]
    inputs[spec.name] = torch.ones(shape, dtype=getattr(torch, spec.dtype))
with torch.no_grad():
    model(**inputs)
"""
TORCHSCRIPT = """
import torch
torch.set_num_threads(given["threads"])
module = torch.jit.load(given["path"])
inputs = [torch.ones(shape, dtype=getattr(torch, dtype)) for shape, dtype in given["inputs"]]
with torch.no_grad():
    module(*inputs)
"""
BARE_ONNX = """
import numpy as np
import onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = given["threads"]
options.log_severity_level = 4
session = ort.InferenceSession(given["path"], options, providers=["CPUExecutionProvider"])
types = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
inputs = {
    spec.name: np.ones([n if isinstance(n, int) else 1 for n in spec.shape], types[spec.type])
    for spec in session.get_inputs()
}
session.run(None, inputs)
"""
RUNTIME = """
import numpy as np
from dt_runtime import Policy
policy = Policy(given["path"], threads=given["threads"], **given["options"])
policy.reset(1000.0)
policy.act(np.zeros(policy.contract.state.shape, np.uint8))
"""


@dataclass(frozen=True)
class Program:
    """Python source of a process up to its first action, and what it is given as JSON."""

    source: str
    given: Mapping[str, Any]


@dataclass(frozen=True)
class Cold:
    """Medians over fresh processes; the peak is None where the system does not tell it."""

    first_action_s: float
    peak_bytes: int | None
    runs: int


def transformers(path: Path, threads: int) -> Program:
    return Program(TRANSFORMERS, {"path": str(path), "threads": threads})


def eager(path: Path, overrides: Overrides, threads: int) -> Program:
    known = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(overrides).items()}
    known["revision"] = None  # the path is what that revision was fetched to
    return Program(EAGER, {"path": str(path), "overrides": known, "threads": threads})


def torchscript(path: Path, specs: tuple[TensorSpec, ...], threads: int) -> Program:
    inputs = [([1 if isinstance(n, str) else n for n in s.shape], s.dtype) for s in specs]
    return Program(TORCHSCRIPT, {"path": str(path), "inputs": inputs, "threads": threads})


def bare_onnx(path: Path, threads: int) -> Program:
    return Program(BARE_ONNX, {"path": str(path), "threads": threads})


def runtime(path: Path, options: Mapping[str, Any], threads: int) -> Program:
    """An artifact through ``dt_runtime`` alone; ``options`` are keywords of ``Policy``."""
    return Program(RUNTIME, {"path": str(path), "options": dict(options), "threads": threads})


def cold_starts(
    programs: Mapping[str, Program],
    runs: int,
    on_run: Callable[[int, int], None] | None = None,
) -> dict[str, Cold | str]:
    """Medians of ``runs`` fresh processes of each program, in turn; a string says what failed.

    One process of each goes before and is not counted: it warms the disk cache.

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
                seen[name].append(_fresh(program))
            except UsageError as error:
                failed[name] = str(error)
        if on_run is not None:
            on_run(turn + 1, runs + 1)
    return {name: failed.get(name) or _median(seen[name][1:]) for name in programs}


def _median(seen: list[tuple[float, int | None]]) -> Cold:
    peaks = [peak for _, peak in seen if peak is not None]
    peak = int(median(peaks)) if len(peaks) == len(seen) else None
    return Cold(median(seconds for seconds, _ in seen), peak, len(seen))


def _fresh(program: Program) -> tuple[float, int | None]:
    environment = os.environ | {
        "OMP_NUM_THREADS": str(program.given["threads"]),
        "HF_HUB_OFFLINE": "1",
    }
    source = BEGIN + program.source + END
    command = [sys.executable, "-W", "ignore", "-c", source, json.dumps(program.given)]
    begin = time.monotonic_ns()  # one clock for all processes of a machine
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        raise UsageError(f"no first action after {SECONDS:g} s") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UsageError(lines[-1])
    report = json.loads(done.stdout.splitlines()[-1])
    return (report["end_ns"] - begin) * 1e-9, report["peak"]
