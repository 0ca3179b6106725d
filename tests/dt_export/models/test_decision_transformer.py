"""Our eager model is transformers' model, for every option that changes the numbers."""

import numpy as np
import pytest
import torch
from checkpoints_made_here import TINY, VARIANTS, hugging_face_model, save_hugging_face, windows
from hypothesis import given, settings
from hypothesis import strategies as st

from dt_export.checkpoints import load
from dt_export.models.decision_transformer import causal_mask, token_mask

PREDICTIONS = ("state_preds", "action_preds", "return_preds", "last_hidden_state")


def assert_close(ours: torch.Tensor, theirs: torch.Tensor, real: torch.Tensor) -> None:
    """Equal to 1e-6 of the output's scale where the mask is true."""
    scale = max(1.0, theirs[real].abs().max().item())
    assert (ours - theirs)[real].abs().max().item() <= 1e-6 * scale
    assert ours.isfinite().all(), "padding must not make NaN"


@pytest.mark.parametrize("padding", (0, 3))
@pytest.mark.parametrize("variant", VARIANTS)
def test_equals_transformers(variant, padding, tmp_path):
    options = VARIANTS[variant]
    theirs = hugging_face_model(**options)
    ours = load(str(save_hugging_face(tmp_path / "ck", **options))).model
    inputs = windows(theirs.config, batch=3, length=7, padding=padding)
    with torch.no_grad():
        expected = theirs(**inputs, output_hidden_states=True, output_attentions=True)
        seen = ours(**inputs)
    real = inputs["attention_mask"].bool()
    tokens = real.repeat_interleave(3, dim=1)
    for name in PREDICTIONS:
        mask = tokens if name == "last_hidden_state" else real
        assert_close(getattr(seen, name), expected[name], mask)
    assert len(seen.hidden_states) == len(expected.hidden_states)
    for mine, due in zip(seen.hidden_states, expected.hidden_states, strict=True):
        assert_close(mine, due, tokens)
    assert len(seen.attentions) == len(expected.attentions)
    for mine, due in zip(seen.attentions, expected.attentions, strict=True):
        assert_close(mine.transpose(1, 2), due.transpose(1, 2), tokens)


THEIRS = hugging_face_model()


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return load(str(save_hugging_face(tmp_path_factory.mktemp("model") / "ck"))).model


@settings(max_examples=60, deadline=None)
@given(
    batch=st.integers(1, 4),
    length=st.integers(1, 12),
    data=st.data(),
    seed=st.integers(0, 2**31),
    spread=st.sampled_from((1e-3, 1.0, 1e3)),
)
def test_equals_transformers_at_any_shape(ours, batch, length, data, seed, spread):
    padding = data.draw(st.integers(0, length - 1))
    inputs = windows(THEIRS.config, batch, length, padding, seed)
    for name in ("states", "returns_to_go"):
        inputs[name] = inputs[name] * spread
    with torch.no_grad():
        expected, seen = THEIRS(**inputs), ours(**inputs)
    real = inputs["attention_mask"].bool()
    for name in ("state_preds", "action_preds", "return_preds"):
        assert_close(getattr(seen, name), expected[name], real)


def test_an_action_does_not_see_itself_or_the_future(ours):
    inputs = windows(THEIRS.config, 1, 5)
    with torch.no_grad():
        before = ours(**inputs).action_preds
        inputs["actions"][:, 2:] += 1.0
        inputs["states"][:, 3:] -= 1.0
        after = ours(**inputs).action_preds
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])


def test_mask_lets_a_token_see_itself_and_the_real_past():
    real = token_mask(torch.tensor([[0, 1]]))
    assert real.tolist() == [[False] * 3 + [True] * 3]
    visible = causal_mask(real, torch.float32)[0, 0] == 0
    expected = np.eye(6, dtype=bool)
    expected[4, 3] = expected[5, 3] = expected[5, 4] = True
    assert visible.numpy().tolist() == expected.tolist()


def test_tiny_configuration_is_what_the_shapes_say(ours):
    assert (ours.config.state_dim, ours.config.act_dim) == (TINY["state_dim"], TINY["act_dim"])
    assert ours.config.n_inner == 4 * TINY["hidden_size"]
