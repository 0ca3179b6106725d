"""Opening artifacts: files, providers, and what is said when they are not there."""

import subprocess
import sys
import warnings

import numpy as np
import onnx
import pytest
from dt_runtime import ContractError, OnnxEngine, Policy, available_providers, engine

needs_no_cuda = pytest.mark.skipif(
    "CUDAExecutionProvider" in available_providers(), reason="ONNX Runtime has CUDA here"
)


def test_no_such_file():
    with pytest.raises(FileNotFoundError, match=r"nothing\.onnx: no such file"):
        Policy("nothing.onnx")


def test_not_an_onnx_file(tmp_path):
    (tmp_path / "noise.onnx").write_bytes(b"noise")
    with pytest.raises(ContractError, match=r"noise\.onnx: ONNX Runtime cannot run this file"):
        OnnxEngine(tmp_path / "noise.onnx")


def test_a_file_without_our_contract(tmp_path, policy_file):
    model = onnx.load(policy_file)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(ContractError, match=r"foreign\.onnx.*without.*contract.*dt-export onnx"):
        OnnxEngine(tmp_path / "foreign.onnx")


@needs_no_cuda
def test_cuda_without_cuda(policy_file):
    with pytest.raises(RuntimeError, match=r"offers .*CPUExecutionProvider.*dt-runtime\[gpu\]"):
        Policy(policy_file, provider="cuda")


@needs_no_cuda
def test_tensorrt_is_known_by_name(policy_file):
    with pytest.raises(RuntimeError, match="provider 'tensorrt' is not available"):
        Policy(policy_file, provider="tensorrt")


@pytest.mark.parametrize("provider", ("cpu", "auto"))
def test_a_cuda_graph_needs_cuda(policy_file, provider):
    with pytest.raises(ValueError, match=f"cuda_graph records.*provider is '{provider}'"):
        Policy(policy_file, provider=provider, cuda_graph=True)


@pytest.mark.parametrize("rows", (1, 3))
def test_twins_on_a_device_act_as_memory_in_place(step_file, policy_file, rows):
    """The bindings that a GPU needs, run on the CPU as their device."""

    class OnDevice(OnnxEngine):
        def bind(self, inputs, outputs):
            return self._bind_on_device(inputs, outputs)

    for path in (step_file, policy_file):
        rng = np.random.default_rng(0)
        policies = [Policy(kind(path), batch_size=rows) for kind in (OnnxEngine, OnDevice)]
        for policy in policies:
            policy.reset(200.0)
        rewards = None
        for _ in range(20):
            observations = rng.normal(0, 3, (rows, 5) if rows > 1 else 5)
            actions = [policy.act(observations, rewards) for policy in policies]
            assert np.array_equal(*actions)
            rewards = rng.normal(5, 3, rows) if rows > 1 else float(rng.normal(5, 3))


@pytest.mark.parametrize(
    ("wanted", "recorded", "expected"),
    (
        ("cuda", False, [("CUDA", {"use_tf32": "0"}), "CPU"]),
        ("cuda", True, [("CUDA", {"use_tf32": "0", "enable_cuda_graph": "1"}), "CPU"]),
        ("tensorrt", False, ["Tensorrt", ("CUDA", {"use_tf32": "0"}), "CPU"]),
        (
            "tensorrt",
            True,
            [("Tensorrt", {"trt_cuda_graph_enable": "1"}), ("CUDA", {"use_tf32": "0"}), "CPU"],
        ),
    ),
)
def test_what_providers_are_told(wanted, recorded, expected):
    """fp32 is never TF32, and only the provider that was asked for records."""
    offered = [f"{name}ExecutionProvider" for name in ("Tensorrt", "CUDA", "CPU")]
    seen = engine._with_fallbacks(engine.PROVIDERS[wanted], offered, recorded)
    full = [
        f"{entry}ExecutionProvider"
        if isinstance(entry, str)
        else (f"{entry[0]}ExecutionProvider", entry[1])
        for entry in expected
    ]
    assert seen == full


@needs_no_cuda
def test_auto_falls_back_and_says_so_once(policy_file, monkeypatch):
    monkeypatch.setattr(engine, "_said_fallback", False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        policies = [Policy(policy_file, provider="auto") for _ in range(2)]
    (warning,) = caught
    assert "'auto' runs on the CPU" in str(warning.message)
    assert {policy.provider for policy in policies} == {"CPUExecutionProvider"}


def test_unknown_provider(policy_file):
    with pytest.raises(ValueError, match="provider is 'tpu', expected cpu, cuda, tensorrt or auto"):
        Policy(policy_file, provider="tpu")


def test_negative_threads(policy_file):
    with pytest.raises(ValueError, match="threads is -1"):
        Policy(policy_file, threads=-1)


@pytest.mark.parametrize("threads", (0, 1, 2))
def test_threads_do_not_change_actions(policy_file, threads):
    policy = Policy(policy_file, threads=threads)
    policy.reset(100.0)
    one = Policy(policy_file)
    one.reset(100.0)
    assert np.abs(policy.act(np.ones(5)) - one.act(np.ones(5))).max() <= 1e-6


def test_bound_arrays_must_be_contiguous(policy_file):
    with pytest.raises(ValueError, match="states: the bound array must be contiguous"):
        OnnxEngine(policy_file).bind({"states": np.zeros((1, 2, 5), np.float32).T}, {})


def test_torch_is_never_imported(policy_file):
    """A robot has no PyTorch; importing, loading and acting must not ask for it."""
    program = f"""
import sys
class Refuse:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("torch", "transformers", "dt_export", "onnx"):
            raise AssertionError(name + " was imported")
sys.meta_path.insert(0, Refuse())
from dt_runtime import Policy
policy = Policy({str(policy_file)!r})
policy.reset(100.0)
assert policy.act([0.0] * 5).shape == (2,)
print(sorted(name for name in sys.modules if name.split(".")[0] == "torch"))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_without_onnx_runtime_the_message_says_what_to_install(policy_file):
    program = f"""
import sys
sys.modules["onnxruntime"] = None
from dt_runtime import Policy
try:
    Policy({str(policy_file)!r})
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "pip install 'dt-runtime[cpu]'" in done.stdout
