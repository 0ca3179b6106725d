"""An ONNX file in ONNX Runtime, with no loop around it."""

from typing import Any

import numpy as np
import onnxruntime as ort

TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


def first_action(given: dict[str, Any]) -> None:
    """``given``: path, threads. Symbolic axes have size 1."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = given["threads"]
    options.log_severity_level = 4
    session = ort.InferenceSession(given["path"], options, providers=["CPUExecutionProvider"])
    inputs = {
        spec.name: np.ones([n if isinstance(n, int) else 1 for n in spec.shape], TYPES[spec.type])
        for spec in session.get_inputs()
    }
    session.run(None, inputs)
