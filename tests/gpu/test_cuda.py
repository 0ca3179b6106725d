"""CUDA gives the CPU's actions. Skipped where ONNX Runtime has no CUDA execution provider."""

import numpy as np
import pytest
from dt_runtime import Policy, available_providers

from dt_export.exporting import export
from dt_export.targets import open_artifact
from dt_export.validation import check

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        "CUDAExecutionProvider" not in available_providers(),
        reason="needs onnxruntime-gpu and a CUDA device",
    ),
]


@pytest.mark.parametrize("graph", ("policy", "step", "sequence"))
def test_parity(artifacts, checkpoint, graph):
    opened = open_artifact(artifacts["onnx", graph], "cuda")
    assert opened.provider == "CUDAExecutionProvider"
    assert check(opened, checkpoint, seed=1, tolerance=1e-4).passed


def closed_loop(policies, rows, tolerance):
    """The same episodes through all policies; their actions stay together."""
    rng, rewards = np.random.default_rng(0), None
    for policy in policies:
        policy.reset(200.0)
    for step in range(25):
        if rows > 1 and step == 9:
            for policy in policies:
                policy.reset(100.0, rows=[1])
        observations = rng.normal(0, 3, (rows, 5) if rows > 1 else 5)
        actions = [policy.act(observations, rewards) for policy in policies]
        for other in actions[1:]:
            assert np.abs(actions[0] - other).max() <= tolerance
        rewards = rng.normal(5, 3, rows) if rows > 1 else float(rng.normal(5, 3))


@pytest.mark.parametrize("graph", ("policy", "step", "sequence"))
@pytest.mark.parametrize("rows", (1, 3))
def test_closed_loop_is_the_cpu_s(artifacts, graph, rows):
    path = artifacts["onnx", graph]
    closed_loop([Policy(path, provider=p, batch_size=rows) for p in ("cpu", "cuda")], rows, 1e-4)


@pytest.mark.parametrize("rows", (1, 3))
def test_a_recorded_step_is_the_cpu_s(artifacts, rows):
    """A step graph has no operator on the host, so that CUDA can record it as it is."""
    path = artifacts["onnx", "step"]
    recorded = Policy(path, provider="cuda", cuda_graph=True, batch_size=rows)
    closed_loop([Policy(path, batch_size=rows), recorded], rows, 1e-4)


@pytest.mark.parametrize("rows", (1, 3))
def test_a_recorded_policy_of_fixed_shape_is_the_cpu_s(checkpoint, rows, tmp_path):
    path = tmp_path / "policy.onnx"
    length = checkpoint.facts.context_length
    export(checkpoint, "onnx", path, static_batch=rows, static_length=length)
    recorded = Policy(path, provider="cuda", cuda_graph=True, batch_size=rows)
    closed_loop([Policy(path, batch_size=rows), recorded], rows, 1e-4)


@pytest.mark.parametrize("graph", ("policy", "step"))
def test_fp16_is_close(checkpoint, graph, tmp_path):
    path = tmp_path / "half.onnx"
    export(checkpoint, "onnx", path, graph=graph, precision="fp16")
    opened = open_artifact(path, "cuda")
    assert opened.provider == "CUDAExecutionProvider"
    assert check(opened, checkpoint, seed=1).passed


def test_auto_takes_cuda(policy_file):
    assert Policy(policy_file, provider="auto").provider == "CUDAExecutionProvider"
