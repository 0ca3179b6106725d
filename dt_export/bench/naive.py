"""transformers' model through PyTorch's exporter with no changes, in ONNX Runtime.

This is what you would do without dt-export: ``torch.onnx.export(model, dynamo=True)``. All heads
are computed for all timesteps, statistics and scale stay outside, and there is no loop around it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dt_runtime.engine import bind_in_place
from torch import nn

from dt_export.bench import cold, kinds
from dt_export.bench.candidate import Candidate, Setting
from dt_export.bench.eager import first_line, library_model
from dt_export.bench.windows import full_window
from dt_export.errors import UsageError
from dt_export.process.quiet import quietly


def naive(setting: Setting) -> Candidate:
    """The naive export on preallocated arrays, with as many threads as the other candidates.

    Raises:
        UsageError: transformers is not installed or cannot read this checkpoint, or the exporter
            fails on its model.
    """
    path = _file(setting)
    run = _bound(path, _arrays(setting, setting.batch, setting.length), setting.threads)
    return Candidate(run, file=path, cold=cold.bare_onnx(path, setting.threads))


def _file(setting: Setting) -> Path:
    """With dynamic axes if the exporter manages, else for this batch and length alone."""
    model = library_model(setting)
    batch, length = setting.batch, setting.length
    try:
        # The exporter treats a size of 1 as a constant, so the example is larger.
        example = _arrays(setting, 2, 5)
        return setting.exports.made("naive.onnx", lambda path: _export(model, example, path, True))
    except Exception:  # whatever the exporter raises
        example = _arrays(setting, batch, length)
    name = f"naive_{batch}_{length}.onnx"
    try:
        return setting.exports.made(name, lambda path: _export(model, example, path, False))
    except Exception as error:  # whatever the exporter raises, the other candidates go on
        what = f"{type(error).__name__}: {first_line(error)}"
        raise UsageError(f"torch.onnx.export: {what}") from error


def _arrays(setting: Setting, batch: int, length: int) -> dict[str, np.ndarray]:
    config = setting.checkpoint.model.config
    return full_window(kinds.model_inputs(config), batch, length, config.max_ep_len)


def _export(model: nn.Module, example: dict[str, np.ndarray], path: Path, dynamic: bool) -> None:
    inputs = {name: torch.from_numpy(array) for name, array in example.items()}
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence")}
    shapes = {name: axes for name in inputs} if dynamic else None
    with quietly(), torch.no_grad():
        program: Any = torch.onnx.export(
            model, (), kwargs=inputs, dynamo=True, dynamic_shapes=shapes, verbose=False
        )
        program.save(path)


def _bound(path: Path, arrays: dict[str, np.ndarray], threads: int) -> Callable[[], None]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # it raises what it would log below that
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs = {spec.name: arrays[spec.name] for spec in session.get_inputs()}
    names = [spec.name for spec in session.get_outputs()]
    outputs = dict(zip(names, session.run(names, inputs), strict=True))  # for their shapes
    run: Callable[[], None] = bind_in_place(session, inputs, outputs)
    return run
