"""What an ONNX file must look like from outside."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from dt_runtime import Contract

from dt_export.errors import UsageError
from dt_export.exporting import export
from dt_export.targets import open_artifact

BATCH, SEQUENCE = "batch", "sequence"


@pytest.fixture(scope="module")
def policy_model(policy_file):
    return onnx.load(policy_file)


@pytest.mark.parametrize("graph", ("policy", "sequence"))
def test_checker_and_single_file(artifacts, graph):
    path = artifacts["onnx", graph]
    model = onnx.load(path, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert all(
        tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer
    )
    assert model.producer_name == "dt-export"


def test_names_and_axes(policy_model):
    def shapes(values):
        return {
            v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
            for v in values
        }

    assert shapes(policy_model.graph.input) == {
        "states": [BATCH, SEQUENCE, 5],
        "actions": [BATCH, SEQUENCE, 2],
        "returns_to_go": [BATCH, SEQUENCE, 1],
        "timesteps": [BATCH, SEQUENCE],
        "attention_mask": [BATCH, SEQUENCE],
    }
    assert shapes(policy_model.graph.output) == {"action": [BATCH, 2]}


def test_contract_agrees_with_the_graph(policy_model, sequence_file):
    for model in (policy_model, onnx.load(sequence_file)):
        (entry,) = model.metadata_props
        assert entry.key == "dt_export"
        contract = Contract.from_json(entry.value)
        for specs, values in (
            (contract.inputs, model.graph.input),
            (contract.outputs, model.graph.output),
        ):
            assert [spec.name for spec in specs] == [value.name for value in values]
            for spec, value in zip(specs, values, strict=True):
                tensor = value.type.tensor_type
                assert np.dtype(spec.dtype) == onnx.helper.tensor_dtype_to_np_dtype(
                    tensor.elem_type
                )
                axes = [d.dim_param or d.dim_value for d in tensor.shape.dim]
                assert list(spec.shape) == axes


def test_contract_states_the_validation(policy_model):
    validation = Contract.from_json(policy_model.metadata_props[0].value).validation
    assert validation.cases > 30
    assert 0 <= validation.max_error <= validation.tolerance <= 1e-5


@pytest.mark.parametrize("graph", ("policy", "sequence"))
def test_no_trace_of_the_machine(artifacts, graph):
    content = artifacts["onnx", graph].read_bytes()
    root = Path(__file__).resolve().parents[4]
    for mark in (
        str(root),
        str(Path.home()),
        os.sep + "tmp",
        "site-packages",
        ".py",
        "stack_trace",
    ):
        assert mark.encode() not in content


def test_the_same_bytes_every_time(checkpoint, checkpoint_path, tmp_path):
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    export(checkpoint, "onnx", first)
    command = [sys.executable, "-m", "dt_export", "onnx", "--model", str(checkpoint_path)]
    command += ["--context-length", "6", "--return-scale", "100", "--target-return", "250"]
    subprocess.run([*command, "--output", str(second)], check=True, capture_output=True)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("opset", (20, 21, 22, 23))
def test_opset_is_the_one_asked_for(checkpoint, tmp_path, opset):
    path = tmp_path / "policy.onnx"
    artifact, report = export(checkpoint, "onnx", path, opset=opset)
    assert report.passed
    assert artifact.contract.producer["opset"] == opset
    (imported,) = [o.version for o in onnx.load(path).opset_import if o.domain == ""]
    assert imported == opset


@pytest.mark.parametrize("opset", (19, 24))
def test_opset_out_of_range(checkpoint, tmp_path, opset):
    with pytest.raises(UsageError, match=f"--opset is {opset}, expected 20 to 23"):
        export(checkpoint, "onnx", tmp_path / "policy.onnx", opset=opset)
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_file_is_named(tmp_path, policy_file):
    model = onnx.load(policy_file)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(UsageError, match=r"foreign\.onnx.*without.*dt-export onnx"):
        open_artifact(tmp_path / "foreign.onnx")
    (tmp_path / "noise.onnx").write_bytes(b"noise")
    with pytest.raises(UsageError, match=r"noise\.onnx"):
        open_artifact(tmp_path / "noise.onnx")


def test_policy_graph_stays_two_dimensional(policy_model):
    """Every linear map is one Gemm, so that ONNX Runtime can fuse what follows it."""
    kinds = [node.op_type for node in policy_model.graph.node]
    layers, per_layer = 2, 6  # query, key, value, projection, and two of the perceptron
    assert kinds.count("Gemm") == layers * per_layer + 2  # and the embedding, and the head
    assert kinds.count("MatMul") == 2 * layers  # scores and weighted values
    assert kinds.count("LayerNormalization") == 2 * layers + 2
