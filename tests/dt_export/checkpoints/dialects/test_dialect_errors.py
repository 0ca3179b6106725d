"""What researchers' files look like in the wild, and what each broken one is told."""

import json

import numpy as np
import pytest
import torch
from checkpoints_made_here import save_hugging_face
from oracles import atari, corl, kzl, min_dt, online_dt

from dt_export.checkpoints import load
from dt_export.errors import CheckpointError, UsageError
from dt_export.facts import Overrides

SMALL = kzl.Options(positions=8)


def saved(path, change=lambda weights: weights):
    """A kzl state dict, changed as asked, as its user would save it."""
    weights = kzl.state_dict(np.random.default_rng(0), SMALL)
    tensors = {name: torch.from_numpy(np.asarray(value)) for name, value in weights.items()}
    file = path / "model.pt"
    torch.save(change(tensors), file)
    return str(file)


def same(first, second):
    pairs = zip(first.model.parameters(), second.model.parameters(), strict=True)
    return all(torch.equal(mine, theirs) for mine, theirs in pairs)


@pytest.fixture
def plain(tmp_path):
    (tmp_path / "plain").mkdir()
    return load(saved(tmp_path / "plain"))


@pytest.mark.parametrize("key", ("model", "state_dict", "model_state_dict"))
def test_nested_state_dicts(tmp_path, plain, key):
    assert same(load(saved(tmp_path, lambda w: {key: w, "epoch": 3})), plain)


def test_prefixes_of_data_parallel_are_stripped(tmp_path, plain):
    file = saved(tmp_path, lambda w: {f"module.{name}": value for name, value in w.items()})
    assert same(load(file), plain)


@pytest.mark.parametrize("dtype", (torch.float16, torch.bfloat16))
def test_half_precision_is_upcast_and_told(tmp_path, dtype):
    def half(weights):
        return {n: v.to(dtype) if v.is_floating_point() else v for n, v in weights.items()}

    checkpoint = load(saved(tmp_path, half))
    name = str(dtype).removeprefix("torch.")
    assert any(name in note and "float32" in note for note in checkpoint.notes)
    assert {p.dtype for p in checkpoint.model.parameters()} == {torch.float32}


def test_a_directory_with_one_file_is_that_file(tmp_path, plain):
    saved(tmp_path)
    (tmp_path / "plain" / "model.pt").unlink()
    assert same(load(str(tmp_path)), plain)


def test_a_directory_with_several_files_asks_which(tmp_path):
    saved(tmp_path)
    (tmp_path / "model.pt").rename(tmp_path / "best.pt")
    saved(tmp_path)
    with pytest.raises(
        CheckpointError, match=r"several checkpoints: name one of best\.pt, model\.pt"
    ):
        load(str(tmp_path))


def test_defaults_that_shapes_do_not_tell_are_printed(plain):
    for note in ("--n-head 1", "--activation relu", "--action-tanh", "--context-length 20"):
        assert f"assumed {note}" in plain.notes
    assert "assumed --return-scale 1000" in plain.notes
    assert "--stats" in plain.warnings[0]


def test_flags_replace_the_defaults(tmp_path):
    flags = Overrides(
        n_head=4, activation="tanh", action_tanh=False, context_length=5, return_scale=1.0
    )
    checkpoint = load(saved(tmp_path), flags)
    config = checkpoint.model.config
    assert (config.n_head, config.activation, config.action_tanh) == (4, "tanh", False)
    assert checkpoint.notes == ()


@pytest.mark.parametrize(
    ("flags", "words"),
    (
        (Overrides(n_head=5), "--n-head is 5, which does not divide the hidden size 24"),
        (Overrides(n_head=0), "--n-head is 0"),
        (Overrides(activation="snake"), "--activation is 'snake', expected one of relu"),
        (Overrides(returns=False), "--returns says no, but dialect kzl says yes"),
    ),
)
def test_flags_that_cannot_be(tmp_path, flags, words):
    with pytest.raises(UsageError, match=words):
        load(saved(tmp_path), flags)


def test_unknown_tensors_are_named(tmp_path):
    file = saved(
        tmp_path, lambda w: w | {"critic.0.weight": torch.ones(2), "critic.0.bias": torch.ones(1)}
    )
    with pytest.raises(
        CheckpointError, match=r"holds 2 tensors .*critic\.0\.weight, critic\.0\.bias"
    ):
        load(file)


def test_missing_tensors_are_named(tmp_path):
    def cut(weights):
        del weights["transformer.h.1.ln_2.bias"]
        return weights

    with pytest.raises(CheckpointError, match=r"lacks 1 of .*transformer\.h\.1\.ln_2\.bias"):
        load(saved(tmp_path, cut))


def test_a_file_that_nobody_claims_lists_what_was_looked_for_and_the_nearest(tmp_path):
    def cut(weights):
        del weights["predict_action.0.weight"]
        return weights

    with pytest.raises(CheckpointError) as caught:
        load(saved(tmp_path, cut))
    message = str(caught.value)
    for words in ("huggingface:", "corl:", "atari:", "match: kzl", "predict_action.0.weight"):
        assert words in message


def test_a_file_with_no_state_dict(tmp_path):
    torch.save([1, 2], tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"model\.pt does not contain a state dict"):
        load(str(tmp_path / "model.pt"))


def test_hugging_face_weights_without_their_config(tmp_path):
    directory = save_hugging_face(tmp_path / "ck", statistics=False)
    (directory / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"Closest match: huggingface.*config\.json"):
        load(str(directory))


@pytest.mark.parametrize("numpy_1", (False, True), ids=("numpy 2", "numpy 1"))
def test_random_states_and_statistics_are_read_without_running_code(tmp_path, numpy_1):
    rng = np.random.default_rng(0)
    online = online_dt.Options(positions=8)
    file = online_dt.save(tmp_path, online_dt.state_dict(rng, online), online, numpy_1=numpy_1)
    facts = load(str(file)).facts
    assert facts.context_length == online.eval_context  # not K, which is for training
    assert facts.target_returns == (3600.0,) and facts.return_scale == 1000.0
    assert facts.action_high == (1 - 1e-6,) * 2

    options = corl.Options()
    file = corl.save(tmp_path / "corl", corl.state_dict(rng, options), options, numpy_1=numpy_1)
    for path in (file, file.parent):
        facts = load(str(path)).facts
        assert len(facts.state_mean) == len(facts.state_std) == options.state_dim
        assert facts.context_length == options.context
        assert facts.return_scale == pytest.approx(1000.0)
        assert facts.action_high == (1.5, 1.5)
        assert facts.target_returns == (3600.0, 1800.0)


def test_corl_without_its_config(tmp_path):
    options = corl.Options(max_action=1.0)
    file = corl.save(tmp_path, corl.state_dict(np.random.default_rng(0), options), options)
    (tmp_path / "config.yaml").unlink()
    checkpoint = load(str(file))
    assert "assumed --n-head 1" in checkpoint.notes
    assert "assumed --return-scale 1000" in checkpoint.notes


def test_corl_with_a_config_that_runs_code(tmp_path):
    options = corl.Options()
    file = corl.save(tmp_path, corl.state_dict(np.random.default_rng(0), options), options)
    (tmp_path / "config.yaml").write_text("num_heads: !!python/object/apply:os.getcwd []")
    with pytest.raises(CheckpointError, match=r"config\.yaml cannot be read as plain YAML"):
        load(str(file))


@pytest.mark.parametrize("flag", (dict(n_head=3), dict(activation="relu")))
def test_flags_that_contradict_the_file(tmp_path, flag):
    options = corl.Options()
    file = corl.save(tmp_path, corl.state_dict(np.random.default_rng(0), options), options)
    with pytest.raises(UsageError, match="drop the flag"):
        load(str(file), Overrides(**flag))


def test_context_length_is_in_the_masks_of_min_dt_and_in_the_positions_of_atari(tmp_path):
    rng = np.random.default_rng(0)
    for module in (min_dt, atari):
        file = module.save(
            tmp_path / module.__name__, module.state_dict(rng, module.Options()), module.Options()
        )
        assert load(str(file), Overrides(n_head=2)).facts.context_length == 6


def test_discrete_actions_of_hugging_face(tmp_path):
    directory = save_hugging_face(tmp_path / "ck", action_tanh=False)
    assert load(str(directory), Overrides(discrete=True)).model.config.discrete
    (directory / "policy.json").write_text(json.dumps({"discrete": True}))
    assert load(str(directory)).model.config.discrete
    bounded = save_hugging_face(tmp_path / "bounded")
    with pytest.raises(UsageError, match="discrete actions need logits"):
        load(str(bounded), Overrides(discrete=True))


def test_discrete_logits_do_not_go_through_tanh(tmp_path):
    with pytest.raises(UsageError, match="discrete actions need logits"):
        load(saved(tmp_path), Overrides(discrete=True, action_tanh=True))
