"""The graph that ONNX Runtime ends up running: fused where it can be, and nothing to spare."""

from collections import Counter

import onnx
import onnxruntime
import pytest
from checkpoints_made_here import save_hugging_face

from dt_export.checkpoints import Overrides, load
from dt_export.exporting import export

LAYERS = 3
SIZES = dict(hidden_size=24, n_layer=LAYERS)

pytestmark = pytest.mark.xdist_group("optimised")


@pytest.fixture(scope="module")
def run_by_onnx_runtime(tmp_path_factory):
    """A function of heads, graph and precision: the operators after all fusions."""
    folder, made = tmp_path_factory.mktemp("optimised"), {}

    def operators(heads, graph, precision="fp32"):
        key = heads, graph, precision
        if key not in made:
            name = f"{heads}_{graph}_{precision}"
            source = save_hugging_face(folder / name, n_head=heads, **SIZES)
            checkpoint = load(str(source), Overrides(context_length=6))
            path, optimised = folder / f"{name}.onnx", folder / f"{name}_optimised.onnx"
            export(checkpoint, "onnx", path, graph=graph, precision=precision, validate=False)
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            options.optimized_model_filepath = str(optimised)
            onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            made[key] = Counter(node.op_type for node in onnx.load(optimised).graph.node)
        return made[key]

    return operators


@pytest.mark.parametrize("graph", ("policy", "step"))
def test_what_can_be_fused_is_fused(run_by_onnx_runtime, graph):
    seen = run_by_onnx_runtime(1, graph)
    assert seen["FusedGemm"] == LAYERS + 1  # the perceptron's relu, and the action's tanh
    assert seen["FusedMatMul"] == LAYERS  # queries times transposed keys
    assert seen["Relu"] == seen["Tanh"] == seen["Transpose"] == 0
    assert seen["LayerNormalization"] == 2 * LAYERS + 2
    # The embedding, and of each layer query, output and the perceptron's second product.
    assert seen["Gemm"] == 1 + 3 * LAYERS
    assert seen["MatMul"] == seen["Softmax"] == LAYERS


def test_a_step_has_no_node_to_spare(run_by_onnx_runtime):
    seen = run_by_onnx_runtime(1, "step")
    assert seen["ScatterND"] == LAYERS  # one cache a layer, written in place
    assert seen["Reshape"] == 1 + 2 * LAYERS  # queries to rows and back
    assert not {"Shape", "Expand", "Where", "Cast", "Slice", "Unsqueeze"} & set(seen)
    assert seen["Concat"] == 1 and seen["Gather"] == 3  # inputs; times, and the answer twice
    assert seen.total() == 7 + 18 * LAYERS + 4


def test_a_policy_computes_shapes_and_mask_once(run_by_onnx_runtime):
    seen = run_by_onnx_runtime(1, "policy")
    assert seen["Trilu"] == 1 and seen["Where"] == 1
    assert seen["Shape"] <= 2 and seen["Concat"] <= 6
    few, many = run_by_onnx_runtime(1, "policy").total(), 34 + 20 * LAYERS
    assert few <= many


@pytest.mark.parametrize("graph", ("policy", "step"))
def test_heads_cost_transposes_and_nothing_else(run_by_onnx_runtime, graph):
    seen = run_by_onnx_runtime(2, graph)
    assert seen["FusedGemm"] == LAYERS + 1
    assert seen["Gemm"] == 1 + 5 * LAYERS
    assert seen["FusedMatMul"] + seen["MatMul"] == 2 * LAYERS
    assert seen["Transpose"] <= 4 * LAYERS


@pytest.mark.parametrize("graph", ("policy", "step"))
def test_int8_multiplies_in_one_operator(run_by_onnx_runtime, graph):
    seen = run_by_onnx_runtime(1, graph, "int8")
    assert seen["DynamicQuantizeMatMul"] == 4 * LAYERS
    assert seen["Gemm"] == 1 and seen["FusedGemm"] == 1  # embedding and head stay fp32
    assert seen["DynamicQuantizeLinear"] == seen["DequantizeLinear"] == 0


@pytest.mark.parametrize("graph", ("policy", "step"))
def test_int8_heads_share_one_quantised_input(run_by_onnx_runtime, graph):
    seen = run_by_onnx_runtime(2, graph, "int8")
    # In a policy's last layer and a step's, the query reads fewer tokens than key and value do.
    assert seen["DynamicQuantizeLinear"] == LAYERS
    assert seen["MatMulIntegerToFloat"] == 3 * LAYERS - 1
    assert seen["DynamicQuantizeMatMul"] == 3 * LAYERS + 1
