"""CUDA gives the CPU's actions. Skipped where ONNX Runtime has no CUDA execution provider."""

import numpy as np
import pytest
from dt_runtime import Policy, available_providers

from dt_export.targets import open_artifact
from dt_export.validation import check

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        "CUDAExecutionProvider" not in available_providers(),
        reason="needs onnxruntime-gpu and a CUDA device",
    ),
]


@pytest.mark.parametrize("graph", ("policy", "sequence"))
def test_parity(artifacts, checkpoint, graph):
    opened = open_artifact(artifacts["onnx", graph], "cuda")
    assert opened.provider == "CUDAExecutionProvider"
    assert check(opened, checkpoint, seed=1, tolerance=1e-4).passed


@pytest.mark.parametrize("graph", ("policy", "sequence"))
@pytest.mark.parametrize("rows", (1, 3))
def test_closed_loop_is_the_cpu_s(artifacts, graph, rows):
    path, rng = artifacts["onnx", graph], np.random.default_rng(0)
    policies = [Policy(path, provider=p, batch_size=rows) for p in ("cpu", "cuda")]
    for policy in policies:
        policy.reset(200.0)
    rewards = None
    for _ in range(12):
        observations = rng.normal(0, 3, (rows, 5) if rows > 1 else 5)
        actions = [policy.act(observations, rewards) for policy in policies]
        assert np.abs(actions[0] - actions[1]).max() <= 1e-4
        rewards = rng.normal(5, 3, rows) if rows > 1 else rng.normal(5, 3)


def test_auto_takes_cuda(policy_file):
    assert Policy(policy_file, provider="auto").provider == "CUDAExecutionProvider"
