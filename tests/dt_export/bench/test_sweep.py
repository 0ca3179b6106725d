"""A small sweep: one set of weights per hidden size, every candidate at every place."""

import sys

import pytest
import torch

from dt_export.bench import synthetic
from dt_export.bench.candidate import Exports, Setting
from dt_export.bench.sweep import sweep_sizes
from dt_export.bench.synthetic import Sizes
from dt_export.errors import UsageError
from dt_export.models.decision_transformer import ModelConfig

pytestmark = pytest.mark.xdist_group("bench sweep")  # it is made once

SIZES = Sizes(state_dim=4, act_dim=2, n_layer=1, n_head=3, max_ep_len=30)
AXES = {"context_length": (3, 20), "hidden_size": (128,), "batch": (1, 2)}


@pytest.fixture(scope="module")
def swept():
    said = []
    points = sweep_sizes(
        SIZES,
        ("policy", "eager"),
        axes=AXES,
        turns=3,
        on_progress=lambda *now: said.append(now),
    )
    return points, said


def test_every_candidate_at_every_value(swept):
    points, _ = swept
    assert [(p.axis, p.value, p.key) for p in points] == [
        (axis, value, key) for axis in AXES for value in AXES[axis] for key in ("eager", "policy")
    ]
    assert all(p.reason is None and p.step.p50_us > 0 for p in points)
    assert all((p.run is not None) == (p.key == "policy") for p in points)


def test_the_common_place_is_measured_once(swept):
    points, _ = swept
    common = {(p.axis, p.value) for p in points} & {("context_length", 20), ("batch", 1)}
    steps = [p.step for p in points if (p.axis, p.value) in common and p.key == "policy"]
    assert len(steps) == 2
    assert steps[0] == steps[1]


def test_progress_names_exports_and_places(swept):
    _, said = swept
    texts = [what for what, *_ in said]
    assert sum("policy_fp32.onnx" in text for text in texts) == 1  # one file for every place
    assert "K 3, hidden 128, batch 1" in texts
    assert {total for *_, total in said} == {3}


def test_synthetic_checkpoints_are_what_was_asked_for_and_always_the_same(tmp_path):
    first = synthetic.synthetic(Sizes(4, 2, 64, 2, 3, 30), 50, tmp_path / "a")
    again = synthetic.synthetic(Sizes(4, 2, 64, 2, 3, 30), 50, tmp_path / "b")
    config = first.model.config
    assert (config.hidden_size, config.n_layer, config.n_inner) == (64, 2, 256)
    assert config.n_head == 1  # 3 does not divide 64
    assert config.max_ep_len == 50  # a window must fit
    assert first.facts.context_length == 50
    assert first.source.sha256 == again.source.sha256
    assert first.with_context_length(7).facts.context_length == 7


def test_transformers_has_the_same_weights(tmp_path):
    """transformers' action and ours are equal on the benchmark's inputs."""
    from dt_export.bench.eager import library_model, tensors
    from dt_export.bench.kinds import model_inputs

    checkpoint = synthetic.synthetic(SIZES, 5, tmp_path / "checkpoint")
    setting = Setting(checkpoint, Exports(tmp_path), batch=2)
    inputs = tensors(model_inputs(checkpoint.model.config), setting)
    with torch.no_grad():
        theirs = library_model(setting)(**inputs).action_preds
        ours = checkpoint.model(**inputs).action_preds
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_sizes_like_a_model():
    config = ModelConfig(
        state_shape=(5,), act_dim=2, hidden_size=24, n_layer=3, n_head=2, n_inner=40, max_ep_len=30
    )
    assert synthetic.like(config) == Sizes(5, 2, 24, 3, 2, 30)


def test_unknown_candidates_are_refused():
    with pytest.raises(UsageError, match="--sides has 'magic', expected some of transformers"):
        sweep_sizes(SIZES, ("magic",))


def test_without_transformers_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)  # Python's mark for "cannot be imported"
    with pytest.raises(UsageError, match="pip install transformers"):
        synthetic.check()
