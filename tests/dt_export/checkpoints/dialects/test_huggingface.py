"""Hugging Face directories: what loads, and what each broken one is told."""

import json
import pickle

import numpy as np
import pytest
import torch
from checkpoints_made_here import hugging_face_model, save_hugging_face, windows
from safetensors.torch import load_file, save_file

from dt_export.checkpoints import Overrides, load
from dt_export.errors import CheckpointError, UsageError


@pytest.fixture
def directory(tmp_path):
    return save_hugging_face(tmp_path / "robot")


def edit_config(directory, **changes):
    file = directory / "config.json"
    document = json.loads(file.read_text())
    for key, value in changes.items():
        if value is None:
            del document[key]
        else:
            document[key] = value
    file.write_text(json.dumps(document))


def refuse(directory, *words, error=CheckpointError, overrides=None):
    with pytest.raises(error) as caught:
        load(str(directory), overrides)
    for word in words:
        assert word in str(caught.value)


def test_facts_beside_the_weights_are_found(directory):
    checkpoint = load(str(directory))
    assert checkpoint.name == "robot"
    assert checkpoint.facts.state_mean == tuple(np.load(directory / "state_mean.npy").tolist())
    assert checkpoint.facts.state_std == tuple(np.load(directory / "state_std.npy").tolist())
    assert checkpoint.facts.action_low == (-1.0, -1.0)
    assert not checkpoint.warnings


def test_assumed_defaults_are_told(directory):
    notes = load(str(directory)).notes
    assert "assumed --context-length 20" in notes
    assert "assumed --return-scale 1000" in notes
    assert load(str(directory), Overrides(context_length=5, return_scale=1.0)).notes == ()


def test_missing_statistics_are_a_loud_warning(tmp_path):
    (warning,) = load(str(save_hugging_face(tmp_path / "ck", statistics=False))).warnings
    assert "--stats" in warning


def test_the_name_in_the_contract_is_no_path(directory):
    source = load(str(directory)).source
    assert source.model == "robot"
    assert len(source.sha256) == 64


def test_old_pytorch_model_bin_with_buffers(directory):
    state_dict = load_file(directory / "model.safetensors")
    for layer in range(2):
        state_dict[f"encoder.h.{layer}.attn.bias"] = torch.ones(1, 1, 8, 8, dtype=torch.uint8)
        state_dict[f"encoder.h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    torch.save(state_dict, directory / "pytorch_model.bin")
    expected = load(str(directory)).model
    (directory / "model.safetensors").unlink()
    inputs = windows(expected.config, 2, 4)
    with torch.no_grad():
        seen = load(str(directory)).model(**inputs)
        assert torch.equal(seen.action_preds, expected(**inputs).action_preds)


@pytest.mark.parametrize("dtype", (torch.float16, torch.bfloat16, torch.float64))
def test_other_precisions_are_converted_and_told(directory, dtype):
    file = directory / "model.safetensors"
    save_file({k: v.to(dtype) for k, v in load_file(file).items()}, file)
    checkpoint = load(str(directory))
    assert any("converted to float32" in note for note in checkpoint.notes)
    assert {p.dtype for p in checkpoint.model.parameters()} == {torch.float32}


def test_no_such_path(tmp_path):
    refuse(tmp_path / "nothing" / "here" / "at all", "not an existing path", "hopper")


def test_a_name_close_to_a_preset(tmp_path):
    refuse("hoper", "did you mean 'hopper'")


def test_not_a_checkpoint(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    refuse(tmp_path, "not a checkpoint", "config.json", "notes.txt")


def test_config_of_another_model(directory):
    edit_config(directory, model_type="gpt2")
    refuse(directory, "not a checkpoint", "decision_transformer")


def test_config_that_is_not_json(directory):
    (directory / "config.json").write_text('{"model_type": "decision_tr')
    refuse(directory, "config.json", "cannot be read as JSON")


@pytest.mark.parametrize("key", ("state_dim", "act_dim", "hidden_size", "n_layer", "n_head"))
def test_config_without_a_needed_key(directory, key):
    edit_config(directory, **{key: None})
    refuse(directory, "config.json", repr(key))


def test_config_with_a_value_that_cannot_be(directory):
    edit_config(directory, hidden_size="wide")
    refuse(directory, "hidden_size", "'wide'", "integer")


def test_heads_that_do_not_divide(directory):
    edit_config(directory, n_head=5)
    refuse(directory, "n_head is 5", "divide 24")


def test_unknown_activation(directory):
    edit_config(directory, activation_function="snake")
    refuse(directory, "'snake'", "gelu_new")


def test_shapes_that_contradict_the_config(directory):
    edit_config(directory, state_dim=6)
    refuse(directory, "embed_state.weight", "[24, 5]", "[24, 6]")


def test_missing_weights_file(directory):
    (directory / "model.safetensors").unlink()
    refuse(directory, "model.safetensors", "pytorch_model.bin")


def test_missing_tensor(directory):
    file = directory / "model.safetensors"
    tensors = load_file(file)
    del tensors["embed_ln.weight"]
    save_file(tensors, file)
    refuse(directory, "embed_ln.weight", "lacks 1")


def test_unknown_tensor(directory):
    file = directory / "model.safetensors"
    save_file(load_file(file) | {"value_head.weight": torch.ones(3)}, file)
    refuse(directory, "value_head.weight")


@pytest.mark.parametrize("share", (0.0, 0.1, 0.9))
def test_truncated_safetensors(directory, share):
    file = directory / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    refuse(directory, "model.safetensors", "truncated", "bytes")


@pytest.mark.parametrize("share", (0.0, 0.5))
def test_truncated_bin(directory, share):
    (directory / "model.safetensors").unlink()
    file = directory / "pytorch_model.bin"
    torch.save(hugging_face_model().state_dict(), file)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    refuse(directory, "pytorch_model.bin", "truncated")


class RunsCode:
    def __reduce__(self):
        return (print, ("a checkpoint was executed",))


@pytest.mark.parametrize("legacy", (False, True), ids=("zip", "plain pickle"))
def test_a_pickle_that_would_run_code_is_refused(directory, legacy, capsys):
    (directory / "model.safetensors").unlink()
    file = directory / "pytorch_model.bin"
    if legacy:
        file.write_bytes(pickle.dumps({"weights": RunsCode()}, protocol=2))
    else:
        torch.save({"weights": RunsCode()}, file)
    refuse(directory, "rejected", "print", "torch.save(model.state_dict()")
    assert "executed" not in capsys.readouterr().out


def test_a_whole_pickled_module_is_refused(directory):
    (directory / "model.safetensors").unlink()
    torch.save(hugging_face_model(), directory / "pytorch_model.bin")
    refuse(directory, "rejected", "state_dict")


def test_bin_that_is_no_state_dict(directory):
    (directory / "model.safetensors").unlink()
    torch.save([1, 2, 3], directory / "pytorch_model.bin")
    refuse(directory, "no state dict")


@pytest.mark.parametrize(
    ("flag", "words"),
    (
        (dict(n_head=4), ("--n-head", "4", "2")),
        (dict(activation="tanh"), ("--activation", "tanh", "relu")),
        (dict(action_tanh=False), ("--action-tanh", "says no", "says yes")),
    ),
)
def test_flags_that_contradict_config_json(directory, flag, words):
    refuse(directory, *words, error=UsageError, overrides=Overrides(**flag))


def test_one_statistics_file_without_the_other(directory):
    (directory / "state_std.npy").unlink()
    refuse(directory, "state_mean.npy", "both are needed")


def test_statistics_of_another_robot(directory):
    np.save(directory / "state_mean.npy", np.zeros(17))
    np.save(directory / "state_std.npy", np.ones(17))
    refuse(directory, "state_mean has 17", "expect 5")


def test_statistics_that_would_divide_by_zero(directory):
    np.save(directory / "state_std.npy", np.array([1, 1, 0, 1, 1.0]))
    refuse(directory, "state_std[2]", "above 0")


def test_statistics_with_nan(directory):
    np.save(directory / "state_mean.npy", np.full(5, np.nan))
    refuse(directory, "state_mean.npy", "NaN")


def test_pickled_statistics_are_refused(directory):
    np.save(directory / "state_mean.npy", np.array([RunsCode()], dtype=object), allow_pickle=True)
    refuse(directory, "state_mean.npy", "cannot be read")
