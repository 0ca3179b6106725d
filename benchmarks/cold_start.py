"""From process start to the first action, and peak memory: transformers against dt_runtime.

    python benchmarks/cold_start.py

Each side is a fresh Python process on one thread, in turn; medians. The clock of a process starts
before its first import. Linux alone: the peak is VmHWM of /proc/self/status (ru_maxrss would count
the parent's memory too).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from dt_export.checkpoints import load
from dt_export.exporting import export

REPORT = """
seconds = perf_counter() - begin
import json, re
from pathlib import Path
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(json.dumps({"seconds": seconds, "megabytes": int(peak[1]) / 1024}))
"""
TRANSFORMERS = """
from time import perf_counter
begin = perf_counter()
import sys, torch
from transformers import DecisionTransformerModel
torch.set_num_threads(1)
model = DecisionTransformerModel.from_pretrained(sys.argv[1]).eval()
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
RUNTIME = """
from time import perf_counter
begin = perf_counter()
import sys
from dt_runtime import Policy
policy = Policy(sys.argv[1])
policy.reset(1000.0)
policy.act([0.0] * policy.contract.state.size)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="hopper", help="a preset, directory or hub id")
    parser.add_argument("--runs", type=int, default=7, help="processes of each side")
    arguments = parser.parse_args()
    checkpoint = load(arguments.model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "policy.onnx"
        export(checkpoint, "onnx", path, validate=False)
        sides = {
            "transformers": (TRANSFORMERS + REPORT, str(checkpoint.path)),
            "dt_runtime": (RUNTIME + REPORT, str(path)),
        }
        results = {name: [] for name in sides}
        for _ in range(arguments.runs + 1):
            for name, (program, argument) in sides.items():
                results[name].append(run(program, argument))
    table = Table("side", "first action s", "peak MB", "times faster", "times smaller", box=None)
    baseline = None
    for name, (_, *runs) in results.items():  # the first run of each warmed the disk cache
        now = {key: median(r[key] for r in runs) for key in ("seconds", "megabytes")}
        baseline = baseline or now
        ratios = (f"{baseline[key] / now[key]:.1f}" for key in ("seconds", "megabytes"))
        table.add_row(name, f"{now['seconds']:.2f}", f"{now['megabytes']:.0f}", *ratios)
    Console().print(table)


def run(program: str, argument: str) -> dict[str, float]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-W", "ignore", "-c", program, argument]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
