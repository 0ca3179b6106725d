"""The transformer alone against transformers' DecisionTransformerGPT2Model, cache and all."""

import numpy as np
import pytest
import torch
from checkpoints_made_here import TINY, VARIANTS, hugging_face_model, save_hugging_face
from oracles import kzl
from transformers import DecisionTransformerConfig, DecisionTransformerGPT2Model, DynamicCache

from dt_export.checkpoints import load
from dt_export.cli.app import main
from dt_export.errors import CheckpointError, UsageError
from dt_export.exporting import export
from dt_export.targets import open_artifact

TARGETS = {"onnx": ".onnx", "torchscript": ".pt"}
POSITIONS = 32


def bare(**options):
    """A backbone as its own model, with random weights."""
    torch.manual_seed(0)
    config = DecisionTransformerConfig(**{**TINY, "n_positions": POSITIONS, **options})
    model = DecisionTransformerGPT2Model(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
    model.set_attn_implementation("eager")
    return model


def empty_cache(config, batch):
    size = config.hidden_size // config.n_head
    return np.zeros((config.n_layer, batch, config.n_head, 0, size), np.float32)


def run_in_parts(opened, config, embeds, mask, positions, parts):
    """Feed tokens in several calls, each after the cache that the last one gave."""
    keys = values = empty_cache(config, len(embeds))
    begin, hidden = 0, []
    for length in parts:
        end = begin + length
        out = opened.run(
            {
                "inputs_embeds": embeds[:, begin:end].copy(),
                "attention_mask": mask[:, :end].copy(),
                "position_ids": positions[:, begin:end].copy(),
                "past_keys": keys,
                "past_values": values,
            }
        )
        hidden.append(out["last_hidden_state"])
        keys, values, begin = out["present_keys"], out["present_values"], end
    return np.concatenate(hidden, axis=1), keys, values


def theirs(model, embeds, mask, positions):
    with torch.no_grad():
        out = model(
            inputs_embeds=torch.from_numpy(embeds),
            attention_mask=torch.from_numpy(mask),
            position_ids=torch.from_numpy(positions),
            use_cache=True,
            past_key_values=DynamicCache(config=model.config),
        )
    layers = out.past_key_values.layers
    keys, values = (torch.stack([getattr(x, k) for x in layers]) for k in ("keys", "values"))
    return out.last_hidden_state.numpy(), keys.numpy(), values.numpy()


def assert_equal(model, opened, batch=2, tokens=9, padding=2):
    config, rng = model.config, np.random.default_rng(0)
    embeds = rng.standard_normal((batch, tokens, config.hidden_size)).astype(np.float32)
    mask = np.ones((batch, tokens), np.int64)
    mask[0, :padding] = 0
    positions = rng.integers(0, config.n_positions, (batch, tokens))
    hidden, keys, values = theirs(model, embeds, mask, positions)
    real = mask != 0
    for parts in ((tokens,), (1,) * tokens, (4, 1, 3, 1), (2, 7)):
        seen = run_in_parts(opened, config, embeds, mask, positions, parts)
        for mine, due, axis in zip(seen, (hidden, keys, values), (1, 3, 3), strict=True):
            if axis == 3:  # [layers, B, N, P, D] -> [B, P, ...]
                mine, due = (np.moveaxis(x, (1, 3), (0, 1)) for x in (mine, due))
            scale = max(1.0, np.abs(due[real]).max())
            assert np.abs(mine - due)[real].max() <= 1e-5 * scale
            assert np.isfinite(mine).all()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("variant", ("plain", "gelu_new", "all_at_once"))
def test_its_own_checkpoint(variant, target, tmp_path):
    model = bare(**VARIANTS[variant])
    model.save_pretrained(tmp_path / "ck")
    checkpoint = load(str(tmp_path / "ck"), backbone=True)
    path = tmp_path / f"backbone{TARGETS[target]}"
    _, report = export(checkpoint, target, path, graph="backbone")
    assert report.passed and report.cases > 20
    assert_equal(model, open_artifact(path))


def test_out_of_a_whole_decision_transformer(tmp_path):
    whole, directory = hugging_face_model(), save_hugging_face(tmp_path / "ck")
    export(load(str(directory), backbone=True), "onnx", tmp_path / "b.onnx", graph="backbone")
    assert_equal(whole.encoder, open_artifact(tmp_path / "b.onnx"))
    unused = save_hugging_face(tmp_path / "unused", add_cross_attention=True)
    assert load(str(unused), backbone=True).model.positions == 1024


def test_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    bare().save_pretrained(tmp_path / "ck")
    for command in (
        ["onnx", "--model", "ck", "--graph", "backbone"],
        ["validate", "ck_backbone.onnx", "--model", "ck"],
        ["inspect", "ck_backbone.onnx"],
    ):
        with pytest.raises(SystemExit) as done:
            main(command)
        assert done.value.code == 0
    out = capsys.readouterr().out
    assert "past + tokens" in out and "equal to eager PyTorch" in out
    assert "dt-export run" not in out


def test_other_dialects_have_no_backbone_of_this_kind(tmp_path):
    options = kzl.Options(positions=8)
    file = kzl.save(tmp_path, kzl.state_dict(np.random.default_rng(0), options), options)
    with pytest.raises(CheckpointError, match="--graph backbone needs the dialect huggingface"):
        load(str(file), backbone=True)


def test_a_checkpoint_must_be_loaded_for_its_graph(checkpoint, tmp_path):
    with pytest.raises(UsageError, match="load the checkpoint with backbone=True"):
        export(checkpoint, "onnx", tmp_path / "b.onnx", graph="backbone")


def test_a_policy_cannot_run_it(tmp_path):
    from dt_runtime import Policy

    bare().save_pretrained(tmp_path / "ck")
    path = tmp_path / "b.onnx"
    export(load(str(tmp_path / "ck"), backbone=True), "onnx", path, graph="backbone")
    with pytest.raises(ValueError, match="graph is 'backbone'"):
        Policy(path)
