"""The step graph through emx-onnx-cgen, a generator of C from ONNX: the graph without a loop.

The static ONNX file of the same weights becomes one C function of all inputs and outputs. The loop
around it, with its slots and masks, is that of ``dt_runtime`` in Python.
"""

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from dt_runtime import Contract

from dt_export.bench.artifacts import TimedEngine, driven
from dt_export.bench.candidate import Candidate, Setting
from dt_export.errors import UsageError
from dt_export.exporting import export
from dt_export.targets import read_contract
from dt_export.targets.c import build

COMMAND = "emx-onnx-cgen"


def generated(setting: Setting) -> Candidate:
    """The generated function under ``Policy``, with the default number of slots.

    Raises:
        UsageError: emx-onnx-cgen is not installed or fails, or there is no compiler.
    """
    if setting.batch != 1:
        raise UsageError("it is measured with a batch of 1 only")
    if shutil.which(COMMAND) is None:
        raise UsageError(f"it needs {COMMAND}: `pip install {COMMAND}`")
    path = setting.exports.made(
        f"static_{setting.length}.onnx",
        lambda path: export(
            setting.checkpoint, "onnx", path, graph="step", static_batch=1, validate=False
        ),
    )
    library = setting.exports.made(
        f"emx_{setting.length}{build.LIBRARY}", lambda output: _compiled(path, output)
    )
    engine = TimedEngine(_Engine(library, read_contract(path)))
    return replace(driven(engine, setting), file=library)


def _compiled(path: Path, output: Path) -> None:
    source = output.with_suffix(".c")
    # Caches are in place: an input and an output are one array.
    options = ["--large-weight-threshold", "0", "--no-restrict-arrays"]
    command = [COMMAND, "compile", path.name, source.name, *options]
    done = subprocess.run(command, cwd=output.parent, capture_output=True, text=True)
    if done.returncode != 0:
        raise UsageError(f"{COMMAND}: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
    text = source.read_text(encoding="utf-8")
    source.write_text(f"#pragma GCC visibility push(default)\n{text}", encoding="utf-8")
    build.shared_library(source, output, ("-O3", "-w"))


class _Engine:
    """Runs the generated function on the caller's arrays: all inputs, then all outputs."""

    def __init__(self, path: Path, contract: Contract):
        self.contract = contract
        self._model = ctypes.CDLL(str(path)).model
        self._model.restype = None

    def bind(
        self, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> Callable[[], None]:
        arrays = [inputs[spec.name] for spec in self.contract.inputs]
        arrays += [outputs[spec.name] for spec in self.contract.outputs]
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in arrays]

        def run() -> None:
            self._model(*pointers)

        return run
