"""Exported files against transformers itself, for every option, graph, target and shape."""

import numpy as np
import pytest
import torch
from checkpoints_made_here import VARIANTS, hugging_face_model, save_hugging_face, windows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dt_export.checkpoints import Overrides, load
from dt_export.exporting import export
from dt_export.targets import open_artifact

TOLERANCE = 1e-5
TARGETS = {"onnx": ".onnx", "torchscript": ".pt"}
# Two options leave the graph as it is: attention in another order, and layers that nobody calls.
OPTIONS = [name for name in VARIANTS if name not in ("upcast", "cross_attention")]
# An ONNX export takes seconds, a TorchScript file a tenth of one. So every option goes through
# TorchScript, and through ONNX those that are not part of `all_at_once` too. `by_layer` is, but
# with several heads: the policy graph folds the scale of a single head.
ONNX = {
    "policy": ("plain", "silu", "gelu", "tanh", "many_heads", "unscaled", "by_layer", "one_layer"),
    "sequence": ("plain", "many_heads"),
}
FILES = [
    (variant, target, graph)
    for variant in OPTIONS
    for target in TARGETS
    for graph in ("policy", "sequence")
    if target != "onnx" or variant in (*ONNX[graph], "all_at_once")
]
SHAPES = ((1, 1, 0), (1, 5, 0), (3, 5, 3), (2, 9, 8))


def assert_equals_transformers(opened, model, facts, batch, length, padding, seed=0):
    inputs = windows(model.config, batch, length, padding, seed)
    arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
    with torch.no_grad():
        if opened.contract.graph == "policy":
            mean, std = (np.float32(values) for values in (facts.state_mean, facts.state_std))
            arrays["states"] = arrays["states"] * std + mean
            inputs["states"] = torch.from_numpy((arrays["states"] - mean) / std)
            arrays["returns_to_go"] = arrays["returns_to_go"] * np.float32(facts.return_scale)
        expected = {k: v.numpy() for k, v in model(**inputs).items() if torch.is_tensor(v)}
    seen = opened.run(arrays)
    if opened.contract.graph == "policy":
        assert_close(seen["action"], expected["action_preds"][:, -1])
    else:
        real = arrays["attention_mask"] != 0
        for name in ("state_preds", "action_preds", "return_preds"):
            assert_close(seen[name][real], expected[name][real])


def assert_close(seen: np.ndarray, expected: np.ndarray) -> None:
    assert seen.shape == expected.shape and seen.dtype == expected.dtype
    assert np.abs(seen - expected).max() <= TOLERANCE * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize(("variant", "target", "graph"), FILES)
def test_equals_transformers(variant, target, graph, tmp_path):
    directory = save_hugging_face(tmp_path / "ck", **VARIANTS[variant])
    model = hugging_face_model(**VARIANTS[variant])
    checkpoint = load(str(directory), Overrides(context_length=5, return_scale=10.0))
    path = tmp_path / f"artifact{TARGETS[target]}"
    export(checkpoint, target, path, graph=graph, validate=False)
    opened = open_artifact(path)
    for batch, length, padding in SHAPES:
        assert_equals_transformers(opened, model, checkpoint.facts, batch, length, padding)


@pytest.mark.parametrize("graph", ("policy", "sequence"))
@pytest.mark.parametrize("target", TARGETS)
def test_equals_transformers_at_any_shape(target, graph, artifacts, checkpoint):
    opened, model = open_artifact(artifacts[target, graph]), hugging_face_model()

    @settings(
        max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
    )
    @given(
        batch=st.integers(1, 5),
        length=st.integers(1, 14),
        data=st.data(),
        seed=st.integers(0, 2**31),
    )
    def check(batch, length, data, seed):
        padding = data.draw(st.integers(0, length - 1))
        assert_equals_transformers(opened, model, checkpoint.facts, batch, length, padding, seed)

    check()


@pytest.mark.parametrize("target", TARGETS)
def test_hidden_states_and_attentions_are_transformers(target, checkpoint, tmp_path):
    names = ("last_hidden_state", "hidden_states", "attentions", "action_preds")
    path = tmp_path / f"artifact{TARGETS[target]}"
    export(checkpoint, target, path, graph="sequence", outputs=names, validate=False)
    model = hugging_face_model()
    inputs = windows(model.config, 2, 5)
    with torch.no_grad():
        expected = model(**inputs, output_hidden_states=True, output_attentions=True)
    opened = open_artifact(path)
    seen = opened.run({k: v.numpy() for k, v in inputs.items()})
    assert list(seen) == list(names) == [spec.name for spec in opened.contract.outputs]
    assert_close(seen["action_preds"], expected["action_preds"].numpy())
    assert_close(seen["last_hidden_state"], expected["last_hidden_state"].numpy())
    for name in ("hidden_states", "attentions"):
        assert_close(seen[name], torch.stack(expected[name]).numpy())
