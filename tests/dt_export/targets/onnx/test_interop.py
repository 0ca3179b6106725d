"""Programs that this project did not write take its files: quantisers, optimisers, other engines.

The extra ``interop`` installs them; each test is skipped without its program.
"""

import importlib
from itertools import product

import numpy as np
import onnx
import pytest
import torch

from dt_export.checkpoints import load
from dt_export.exporting import export
from dt_export.graphs import GRAPHS, graph_of
from dt_export.targets import open_artifact
from dt_export.targets.contract import contract_of
from dt_export.targets.example import example_inputs

TOLERANCE = 1e-5
SIZES = {"batch": 1, "sequence": 4, "slots": 2, "tokens": 3, "past": 2}


@pytest.fixture(scope="module")
def files(artifacts, checkpoint_path, tmp_path_factory):
    """Graph -> ONNX file."""
    path = tmp_path_factory.mktemp("interop") / "backbone.onnx"
    backbone = load(str(checkpoint_path), backbone=True)
    export(backbone, "onnx", path, graph="backbone", validate=False)
    policies = {graph: artifacts["onnx", graph] for graph in ("policy", "step", "sequence")}
    return {**policies, "backbone": path}


@pytest.fixture(params=GRAPHS)
def path(request, files):
    return files[request.param]


def inputs_of(contract, seed=0):
    """Inputs at sizes other than those of the trace; every mask shows everything."""
    rng, arrays = np.random.default_rng(seed), {}
    for spec in contract.inputs:
        shape = spec.sized(SIZES)
        if spec.name == "attention_mask":
            array = np.ones(shape)
        elif spec.name.endswith("attention_bias"):
            array = np.zeros(shape)
        elif spec.dtype == "float32":
            array = rng.standard_normal(shape)
        else:
            array = np.zeros(shape)
        arrays[spec.name] = np.array(array, spec.dtype)
    if graph_of(contract).stepwise:  # no two tokens may go to one place
        positions = arrays["attention_bias"].shape[-1]
        heads = arrays["past_keys_0"].shape[1]
        where = list(product(range(SIZES["slots"]), range(heads), range(3)))
        arrays["cache_indices"][:] = where
        arrays["last_cache_indices"][:] = [
            (0, head, slot * positions + token) for slot, head, token in where
        ]
    return arrays


def expected(path):
    opened = open_artifact(path)
    arrays = inputs_of(opened.contract)
    return arrays, opened.run(arrays)


def assert_same(seen, due):
    for name, array in due.items():
        scale = max(1.0, float(np.abs(array).max()))
        np.testing.assert_allclose(seen[name] / scale, array / scale, atol=TOLERANCE, err_msg=name)


def test_files_have_no_shapes_of_values_in_between(path):
    assert not onnx.load(path).graph.value_info


def test_quantize_dynamic(path, tmp_path):
    quantization = pytest.importorskip("onnxruntime.quantization")
    session = importlib.import_module("onnxruntime").InferenceSession
    out = tmp_path / "quantised.onnx"
    quantization.quantize_dynamic(path, out)
    arrays, due = expected(path)
    outputs = session(out, providers=["CPUExecutionProvider"]).run(list(due), arrays)
    for name, array in zip(due, outputs, strict=True):
        assert array.shape == due[name].shape and np.isfinite(array).all()
    operators = {node.op_type for node in onnx.load(out).graph.node}
    assert operators & {"MatMulInteger", "DynamicQuantizeLinear"}


def test_onnxslim(path, tmp_path):
    onnxslim = pytest.importorskip("onnxslim")
    out = tmp_path / "slim.onnx"
    onnx.save(onnxslim.slim(onnx.load(path)), out)
    arrays, due = expected(path)
    assert_same(open_artifact(out).run(arrays), due)


def test_the_reference_evaluator_of_onnx(path):
    from onnx.reference import ReferenceEvaluator

    arrays, due = expected(path)
    seen = ReferenceEvaluator(onnx.load(path)).run(list(due), arrays)
    assert_same(dict(zip(due, seen, strict=True)), due)


def test_openvino(path):
    """Asked for float32: by default it may compute in bfloat16."""
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    compiled = core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    arrays, due = expected(path)
    seen = compiled(arrays)
    assert_same({name: seen[name] for name in due}, due)


@pytest.mark.parametrize("graph", [name for name in GRAPHS if name != "backbone"])
def test_other_consumers_of_torch_export_meet_no_operator_of_ours(checkpoint, graph):
    """ExecuTorch, AOTInductor and litert-torch take the program as PyTorch's own operators."""
    kind = GRAPHS[graph]
    contract = contract_of(checkpoint, kind, kind.output_names(checkpoint.model.config), {})
    program = torch.export.export(kind.module(checkpoint), example_inputs(contract))
    targets = {str(n.target) for n in program.graph.nodes if n.op == "call_function"}
    assert targets and not [name for name in targets if name.startswith("dt_export")]
