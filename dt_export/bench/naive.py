"""transformers' model through the exporter as it comes, in ONNX Runtime.

What a user does who has no dt-export: ``torch.onnx.export(model, dynamo=True)``. All heads are
computed for all timesteps, statistics and scale stay outside, and there is no loop around it.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from dt_runtime.engine import bind_in_place
from torch import nn

from dt_export import graphs
from dt_export.bench import cold
from dt_export.bench.eager import library_model
from dt_export.bench.side import Setting, Side
from dt_export.bench.windows import full_window
from dt_export.process.quiet import quietly


def naive(setting: Setting) -> Side:
    """The naive export on preallocated arrays, with as many threads as everyone.

    Raises:
        UsageError: transformers is not installed, or cannot read this checkpoint.
    """
    path = _file(setting)
    run = _bound(path, _arrays(setting, setting.batch, setting.length), setting.threads)
    return Side(run, file=path, cold=cold.bare_onnx(path, setting.threads))


def _file(setting: Setting) -> Path:
    """With dynamic axes if the exporter can, else for this batch and length alone."""
    model = library_model(setting)
    batch, length = setting.batch, setting.length
    try:
        # The exporter takes sizes of 1 for constants, so the example is larger.
        example = _arrays(setting, 2, 5)
        return setting.exports.made("naive.onnx", lambda path: _export(model, example, path, True))
    except Exception:
        example = _arrays(setting, batch, length)
        return setting.exports.made(
            f"naive_{batch}_{length}.onnx", lambda path: _export(model, example, path, False)
        )


def _arrays(setting: Setting, batch: int, length: int) -> dict[str, np.ndarray]:
    config = setting.checkpoint.model.config
    specs = graphs.input_specs(config, "sequence")
    return full_window(specs, batch, length, config.max_ep_len)


def _export(model: nn.Module, example: dict[str, np.ndarray], path: Path, dynamic: bool) -> None:
    inputs = {name: torch.from_numpy(array) for name, array in example.items()}
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence")}
    shapes = {name: axes for name in inputs} if dynamic else None
    with quietly(), torch.no_grad():
        program = torch.onnx.export(
            model, (), kwargs=inputs, dynamo=True, dynamic_shapes=shapes, verbose=False
        )
        program.save(path)


def _bound(path: Path, arrays: dict[str, np.ndarray], threads: int) -> Callable[[], None]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what it logs below that, it raises too
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs = {spec.name: arrays[spec.name] for spec in session.get_inputs()}
    names = [spec.name for spec in session.get_outputs()]
    outputs = dict(zip(names, session.run(names, inputs), strict=True))  # tells the shapes
    return bind_in_place(session, inputs, outputs)
