"""The arithmetic of int8 weights, and which products get them."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dt_export.exporting import export
from dt_export.targets.onnx.passes.int8 import quantise_weight

WEIGHTS = arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    elements=st.floats(-100, 100, width=32).filter(lambda x: x == 0 or abs(x) > 1e-3),
)


@given(WEIGHTS)
def test_no_weight_moves_by_more_than_half_a_step(weight):
    numbers, scale = quantise_weight(weight)
    assert numbers.dtype == np.int8 and numbers.shape == weight.shape and scale.shape == ()
    assert np.abs(numbers).max() <= 127
    assert np.abs(numbers * scale - weight).max() <= scale * 0.5001
    assert (np.sign(numbers) * np.sign(weight) >= 0).all()


def test_the_largest_weight_is_127_and_nothing_is_nothing():
    numbers, scale = quantise_weight(np.array([[0.0, -2.54], [1.27, 0.01]], np.float32))
    assert numbers.tolist() == [[0, -127], [64, 0]]  # 63.5 to the even number
    assert scale == np.float32(2.54 / 127)
    assert quantise_weight(np.zeros((2, 2), np.float32))[0].tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("graph", ("policy", "step"))
def test_layers_are_int8_and_embeddings_and_head_are_not(checkpoint, graph, tmp_path):
    path = tmp_path / "int8.onnx"
    artifact, report = export(checkpoint, "onnx", path, graph=graph, precision="int8")
    assert report.passed and report.counted == "int8"
    assert report.worst.error > 1e-5  # it is not fp32 in disguise
    assert report.closed_loop is None and "no environment" in report.not_played
    assert artifact.contract.precision == "int8"
    model = onnx.load(path)
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    whole = {name for name, kind in kinds.items() if kind == onnx.TensorProto.INT8}
    layers = checkpoint.model.config.n_layer
    assert len(whole) == 6 * layers  # query, key, value, output and two of the perceptron
    assert all("attentions." in name or "blocks." in name for name in whole)
    left = {n for n in kinds if n.endswith(".weight") and kinds[n] == onnx.TensorProto.FLOAT}
    shapes = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    matrices = {name for name in left if shapes[name] == 2}
    assert matrices == {
        "joint.linear.weight",
        "head.model.predict_action.weight",
        *(n for n in matrices if n.endswith("embed_timestep.weight")),
    }
