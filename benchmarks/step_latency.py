"""One control step at full context: transformers' eager forward against an exported policy.

    python benchmarks/step_latency.py

Both sides run in one process, in turn, on one thread; medians and p99 of many turns. Figures of
one machine are noisy: the ratio is what counts.
"""

import argparse
import tempfile
import warnings
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from dt_runtime import OnnxEngine, Policy
from rich.console import Console
from rich.progress import track
from rich.table import Table

from dt_export.checkpoints import load
from dt_export.exporting import export
from dt_export.validation.reference import load_transformers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="hopper", help="a preset, directory or hub id")
    parser.add_argument("--steps", type=int, default=1000, help="turns of each side")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # the measured episode is longer than the table of timesteps
    checkpoint = load(arguments.model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "policy.onnx"
        export(checkpoint, "onnx", path, validate=False)
        sides = {
            "transformers eager": transformers_step(checkpoint),
            "policy.onnx, engine alone": engine_step(path),
            "policy.onnx, Policy.act": policy_step(path),
        }
        print_table(measure(sides, arguments.steps))


def transformers_step(checkpoint):
    model = load_transformers(checkpoint.path)
    model.set_attn_implementation("sdpa")  # its default, and its fastest
    config, length = checkpoint.model.config, checkpoint.facts.context_length
    inputs = dict(
        states=torch.randn(1, length, config.state_dim),
        actions=torch.randn(1, length, config.act_dim),
        returns_to_go=torch.randn(1, length, 1),
        timesteps=torch.arange(length)[None],
        attention_mask=torch.ones(1, length, dtype=torch.int64),
    )

    def step():
        with torch.no_grad():
            model(**inputs, return_dict=False)

    return step


def engine_step(path):
    engine = OnnxEngine(path)
    contract, rng = engine.contract, np.random.default_rng(0)
    sizes = {"batch": 1, "sequence": contract.context_length}
    arrays = {}
    for spec in contract.inputs:
        shape = [sizes.get(axis, axis) for axis in spec.shape]
        arrays[spec.name] = rng.standard_normal(shape).astype(spec.dtype)
    arrays["timesteps"][:] = np.arange(contract.context_length)
    arrays["attention_mask"][:] = 1
    return engine.bind(arrays, {"action": np.zeros((1, contract.action.size), np.float32)})


def policy_step(path):
    policy = Policy(path)
    policy.reset(1000.0)
    observation = np.random.default_rng(0).standard_normal(policy.contract.state.size)
    policy.act(observation)
    for _ in range(policy.contract.context_length):  # the window is full from here on
        policy.act(observation, 0.0)

    def step():
        policy.act(observation, 0.0)

    return step


def measure(sides, steps):
    times = {name: np.empty(steps) for name in sides}
    for step in sides.values():
        for _ in range(50):
            step()
    for turn in track(range(steps), "measuring", transient=True):
        for name, step in sides.items():
            begin = perf_counter()
            step()
            times[name][turn] = perf_counter() - begin
    return times


def print_table(times):
    table = Table("side", "p50 us", "p99 us", "times faster (p50)", box=None)
    first = np.median(next(iter(times.values())))
    for name, values in times.items():
        p50, p99 = np.percentile(values, (50, 99))
        table.add_row(name, f"{p50 * 1e6:.0f}", f"{p99 * 1e6:.0f}", f"{first / p50:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
