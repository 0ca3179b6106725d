"""Prints a program in C that replays a golden episode and hashes the integer sums."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from dt_runtime.contract import Contract
from dt_runtime.golden import Act, Golden

from dt_export.checkpoints import Checkpoint
from dt_export.errors import UsageError
from dt_export.files.ours import PRODUCER
from dt_export.graphs import graph_of
from dt_export.targets.c.integers import hashed
from dt_export.targets.c.layout import Array
from dt_export.targets.c.program import Program, program
from dt_export.targets.c.reading import SUFFIX
from dt_export.targets.c.templates import comment, filled, numbers, prefixed, template


@dataclass(frozen=True)
class _Step:
    """What happens to all rows in one step."""

    targets: tuple[float | None, ...]  # of rows that are reset before it
    act: Act


def check(artifact: Path, path: Path) -> None:
    """Raise UsageError unless ``artifact`` is a source in C, and ``path`` a name beside it."""
    if artifact.suffix != SUFFIX:
        raise UsageError(
            f"{artifact}: --c-test is for a policy in C; make one with `dt-export c --model MODEL`"
        )
    if path.suffix != SUFFIX:
        raise UsageError(f"--output {path}: expected a file ending in {SUFFIX}")


def replay(
    golden: Golden, contract: Contract, checkpoint: Checkpoint, source: Path, path: Path
) -> str:
    """The text of a program that includes ``source`` and compares it with a golden episode.

    Args:
        golden: an episode that was recorded for this contract.
        contract: that of a policy in C.
        checkpoint: what it was exported from; the sums of int8 are computed from its weights.
        source: the policy's file.
        path: where the program will be.

    """
    apart = "weights" in contract.producer
    name = str(contract.producer["prefix"])
    beside = os.path.relpath(source, path.parent)
    blocks = {"sizes": _sizes(golden, _integers(contract, checkpoint)), "episode": _episode(golden)}
    inside = {
        "title": comment(f"{PRODUCER}: {contract.source.model}, {contract.precision}"),
        "source": Path(beside).as_posix(),
        "test": path.name,
        "name": path.stem,
        "argument": f" {contract.producer['weights']}" if apart else "",
        "comment": _OPENED if apart else _PLAIN,
        "parameters": "const void *weights, size_t size" if apart else "void",
        "main": template("replay_main_open.c" if apart else "replay_main.c").strip(),
    }
    return prefixed(filled(template("replay.c"), inside, blocks), name)


_PLAIN = "/* Replays the episode and prints a line. 0 if everything is equal, else 1. */"
_OPENED = "/* The same for weights that are in memory already: their address and their size. */"


def _integers(contract: Contract, checkpoint: Checkpoint) -> int | None:
    """The hash of the integer sums; None if there are none."""
    if contract.precision != "int8":
        return None
    kind = graph_of(contract)
    names = tuple(spec.name for spec in contract.outputs)
    made: Program = program(kind.module(checkpoint, names, contract.precision), "int8")
    slots = next(spec.shape[0] for spec in contract.inputs if spec.name == "states")
    assert isinstance(slots, int)  # the file has fixed shapes
    rows = made.config.tokens_per_step * slots
    return hashed(made, rows, int(contract.producer["activation_bits"]))


def _sizes(golden: Golden, integers: int | None) -> str:
    steps = _steps(golden)
    discrete = golden.model.action_kind == "discrete"
    values: dict[str, object] = {
        "STEPS": len(steps),
        "ROWS": golden.options.batch_size,
        "ACTION": 1 if discrete else "PREFIX_ACTION_SIZE",
        "TOLERANCE": golden.tolerance,
    }
    if integers is not None:
        values["INTEGERS"] = f"{integers:#010x}u"
    return "\n".join(f"#define PREFIX_REPLAY_{name} {value}" for name, value in values.items())


def _episode(golden: Golden) -> str:
    """The arrays of an episode, each by step and row."""
    steps = _steps(golden)
    acts, rows = [step.act for step in steps], golden.options.batch_size
    expected = [act.expected for act in acts]
    discrete = golden.model.action_kind == "discrete"
    of_action = np.int32 if discrete else np.float32
    none = tuple((0.0,) * len(row) for row in expected[0].actions)
    table: dict[str, Any] = {
        "resets": np.array([[t is not None for t in step.targets] for step in steps], np.uint8),
        "targets": np.array([[t or 0.0 for t in step.targets] for step in steps]),
        "observations": np.array([act.observations for act in acts], np.float32),
        "rewards": np.array([act.rewards or (0.0,) * rows for act in acts]),
        "is_applied": np.array([act.applied_actions is not None for act in acts], np.uint8),
        "applied": np.array([act.applied_actions or none for act in acts], of_action),
        "actions": np.array([due.actions for due in expected], of_action),
        "windows": np.array([due.windows for due in expected], np.int32),
        "returns": np.array([due.returns_to_go for due in expected]),
    }
    if discrete:
        table["logits"] = np.array([due.logits for due in expected], np.float32)
    return "\n".join(_array(name, values) for name, values in table.items())


def _steps(golden: Golden) -> list[_Step]:
    targets: list[float | None] = [None] * golden.options.batch_size
    steps: list[_Step] = []
    for event in golden.events:
        if event.reset is not None:
            for row, target in zip(event.reset.rows, event.reset.target_returns, strict=True):
                targets[row] = target
        if event.act is not None:
            steps.append(_Step(tuple(targets), event.act))
            targets = [None] * golden.options.batch_size
    return steps


def _array(name: str, values: Array) -> str:
    kinds = {"uint8": "uint8_t", "int32": "int32_t", "float32": "float", "float64": "double"}
    sizes = "".join(f"[{size}]" for size in values.shape)
    head = f"static const {kinds[str(values.dtype)]} prefix_replay_{name}{sizes} ="
    return f"{head}\n{_braces(values)};"


def _braces(values: Array) -> str:
    """An initialiser with the braces of every dimension."""
    if values.ndim == 1:
        return "{" + "\n".join(numbers(values)).rstrip(",") + "}"
    return "{" + ",\n".join(_braces(part) for part in values) + "}"
