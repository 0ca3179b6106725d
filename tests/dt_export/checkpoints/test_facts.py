"""Facts that cannot be true are refused when a checkpoint is loaded, whoever told them."""

import json
import os
import pickle

import numpy as np
import pytest
import torch
from checkpoints_made_here import save_hugging_face
from dt_runtime.contract import MAX_CONTEXT_LENGTH
from oracles import atari, corl, d3rlpy_numpy, kzl, online_dt
from safetensors.torch import load_file, save_file

from dt_export.checkpoints import load
from dt_export.errors import CheckpointError, UsageError
from dt_export.facts import Overrides

STATE, ACTION = 5, 2  # of the tiny checkpoint
DEEP = "[" * 20_000 + "]" * 20_000


@pytest.fixture
def directory(tmp_path):
    return save_hugging_face(tmp_path / "robot", statistics=False)


def refused(path, words, overrides=None):
    with pytest.raises(CheckpointError, match=words) as caught:
        load(str(path), overrides)
    assert len(str(caught.value)) < 1000
    return str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    (
        ("action_low", [1.0, -1.0], r"action_low\[0\] is 1 and action_high\[0\] is 0.5: .*swap"),
        ("action_low", [-1.0], "action_low has 1 numbers, and the checkpoint's weights expect 2"),
        ("action_low", ["left", "right"], "action_low is .*expected numbers"),
        ("action_low", [True, False], "action_low is .*expected numbers"),
        ("action_low", [-1e39, -1.0], "action_low holds -1e.39, which is beyond float32"),
        ("action_scale", [1.0], "action_scale has 1 numbers"),
        ("action_scale", [float("nan"), 1.0], "action_scale holds a NaN"),
        ("action_scale", [0.0, 1.0], r"action_scale\[0\] is 0.0: every action would be the same"),
        ("action_offset", [0.0, 0.0], "action_offset is given without action_scale"),
        ("state_mean", [0.0] * STATE, "state_mean is given without state_std"),
        ("state_mean", 10**400, "state_mean holds an integer of 1329 bits"),
        ("state_std", [1.0] * 4 + [1e-60], r"state_std\[4\] is 1e-60, expected above 0"),
        ("first_timestep", -1, "first_timestep is -1, expected an integer from 0"),
        ("first_timestep", 0.5, "first_timestep is 0.5, expected an integer"),
        ("first_timestep", 10**6, "first_timestep is 1000000, .*timesteps 0 to 39"),
        ("context_length", MAX_CONTEXT_LENGTH + 1, "context_length is 4097, expected an integer"),
        ("context_length", True, "context_length is True, expected an integer"),
        ("return_scale", 0, "return_scale is 0, expected a number above 0"),
        ("return_scale", 1e-45, "return_scale is 1e-45, expected a number above 0"),
        ("return_scale", "1000", "return_scale is '1000', expected a finite number"),
        ("target_returns", [float("inf")], "target_returns holds a NaN or an infinity"),
        ("environment", 5, "environment is 5, expected text"),
        ("environment", "x\x1b[31m", "environment is .*expected printable text"),
        ("environment", "\ud800", "environment is .*expected printable text"),
        ("environment", "x" * 10_000, "environment is .*expected printable text of at most 200"),
        ("discrete", "true", "discrete is 'true', expected true or false"),
    ),
)
def test_policy_json(directory, key, value, words):
    whole = {"action_high": [0.5, 0.5]} if key == "action_low" else {}
    whole |= {"state_mean": [0.0] * STATE} if key == "state_std" else {}
    whole |= {"action_offset": [0.0] * ACTION} if key == "action_scale" else {}
    (directory / "policy.json").write_text(json.dumps(whole | {key: value}))
    refused(directory, words)


@pytest.mark.parametrize(
    ("content", "words"),
    (
        (DEEP, "nested too deeply"),
        ('{"context_length": ' + "9" * 5000 + "}", "cannot be read as JSON: Exceeds the limit"),
        ("[]", "holds list, expected a JSON object"),
        ("\xff", "cannot be read as JSON"),
        ("", "cannot be read as JSON"),
    ),
)
def test_documents_that_no_reader_likes(directory, content, words):
    (directory / "policy.json").write_bytes(content.encode("latin1"))
    refused(directory, words)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    (
        ("n_layer", 10**6, "has 2 layers, and config.json says n_layer 1000000"),
        ("hidden_size", 10**9, "embed_|cannot have the sizes of its configuration"),
        ("n_inner", 10**9, "shape|cannot have the sizes"),
        ("state_dim", 1.5, "state_dim is 1.5, expected an integer"),
        ("max_ep_len", 10**9, "embed_timestep.weight has shape"),
        ("n_head", True, "n_head is True, expected an integer"),
        ("activation_function", ["relu"], "activation_function is .*expected text"),
        ("layer_norm_epsilon", "small", "layer_norm_epsilon is 'small', expected a finite number"),
        ("layer_norm_epsilon", -1, "layer_norm_epsilon is -1, expected a number above 0"),
        ("action_tanh", "yes", "action_tanh is 'yes', expected true or false"),
        ("scale_attn_weights", 1, "scale_attn_weights is 1, expected true or false"),
    ),
)
def test_config_json(directory, key, value, words):
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    refused(directory, words)


@pytest.mark.parametrize(
    ("change", "words"),
    (
        (lambda w: w.to(torch.int8), "is int8, expected floating-point weights"),
        (lambda w: w.to(torch.uint8), "is uint8, expected floating-point weights"),
        (lambda w: w > 0, "is bool, expected floating-point weights"),
        (lambda w: w.to(torch.complex64), "is complex64, expected floating-point weights"),
        (lambda w: w * float("nan"), "numbers that are NaN, infinite or beyond float32"),
        (lambda w: w.double() * 1e200, "numbers that are NaN, infinite or beyond float32"),
    ),
    ids=("int8", "uint8", "bool", "complex", "NaN", "beyond float32"),
)
@pytest.mark.parametrize("name", ("encoder.h.1.mlp.c_fc.weight", "encoder.wpe.weight"))
def test_weights_that_are_no_floats_or_not_finite(directory, name, change, words):
    tensors = load_file(directory / "model.safetensors")
    tensors[name] = change(tensors[name] + 1).contiguous()
    (directory / "model.safetensors").unlink()
    torch.save(tensors, directory / "pytorch_model.bin")
    refused(directory, words)


def test_a_layer_far_away_builds_nothing(tmp_path):
    options = kzl.Options(positions=8)
    tensors = kzl.state_dict(np.random.default_rng(0), options)
    tensors["transformer.h.99999999.ln_1.weight"] = np.ones(24, np.float32)
    torch.save({n: torch.from_numpy(np.asarray(v)) for n, v in tensors.items()}, tmp_path / "m.pt")
    refused(tmp_path / "m.pt", r"none has the number \d+; seen: .*99999999")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    (
        ("n_head", None, "has no key 'n_head'"),
        ("n_head", "one", "n_head is 'one', expected an integer"),
        ("activation_function", 3, "activation_function is 3, expected text"),
        ("eval_context_length", 10**7, "context_length is 10000000, expected 1 to 4096"),
        ("eval_rtg", [1], r"eval_rtg is \[1\], expected a finite number"),
        ("env", 7, "env is 7, expected text"),
    ),
)
def test_arguments_of_online_dt(tmp_path, key, value, words):
    options = online_dt.Options(positions=8)
    file = online_dt.save(
        tmp_path, online_dt.state_dict(np.random.default_rng(0), options), options
    )
    document = torch.load(file, weights_only=False)
    document["args"][key] = value
    torch.save(document, file)
    refused(file, words)


@pytest.mark.parametrize(
    ("text", "words"),
    (
        ("num_heads: many", "num_heads is 'many', expected an integer"),
        ("max_action: 0", "max_action is 0, expected a number above 0"),
        ("reward_scale: -1", "reward_scale is -1, expected a number above 0"),
        ("env_name: [a]", "env_name is .*expected text"),
        ("target_returns: {a: 1}", "target_returns is .*expected numbers"),
        ("a: &a [1]\nb: [*a, *a]", r"\*a is an alias: write the value in its place"),
        ("a: &a {b: 1}\nc: {<<: *a}", "is an alias"),
        ("[" * 5000, "cannot be read as plain YAML"),
        ("- 1", "holds list, expected a YAML mapping"),
    ),
)
def test_config_yaml(tmp_path, text, words):
    options = corl.Options()
    file = corl.save(tmp_path, corl.state_dict(np.random.default_rng(0), options), options)
    (file.parent / "config.yaml").write_text(text)
    refused(file, words)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    (
        (("observation_shape",), "wide", "observation_shape is 'wide', expected a list"),
        (("observation_shape",), [0], "0 is 0, expected an integer from 1"),
        (("action_size",), None, "has no key 'action_size'"),
        (("config", "type"), ["x"], r"type is \['x'\], expected text"),
        (("config", "params", "num_heads"), 2.5, "num_heads is 2.5, expected an integer"),
        (("config", "params", "context_size"), 10**7, "context_size is 10000000"),
        (("config", "params", "max_timestep"), 10**9, "max_timestep|has shape"),
        (("config", "params", "activation_type"), {"type": 5}, "type is 5, expected text"),
        (
            ("config", "params", "encoder_factory"),
            "x",
            "encoder_factory is 'x', expected a mapping",
        ),
        (
            ("config", "params", "reward_scaler"),
            {"type": "multiply", "params": {"multiplier": 0}},
            "multiplier is 0, expected a number other than 0",
        ),
        (
            ("config", "params", "reward_scaler"),
            {"type": "min_max", "params": {"minimum": 3, "maximum": 3}},
            "the reward scaler divides by 0",
        ),
        (
            ("config", "params", "observation_scaler"),
            {"type": "standard", "params": {"mean": [[1], [2, 3]], "std": [1]}},
            "mean of a scaler has 3 numbers, not|mean of a scaler has",
        ),
    ),
)
def test_configuration_of_d3rlpy(tmp_path, place, value, words):
    options = d3rlpy_numpy.Options()
    file = d3rlpy_numpy.save(
        tmp_path, d3rlpy_numpy.state_dict(np.random.default_rng(0), options), options
    )
    outer = pickle.loads(file.read_bytes())
    document = json.loads(outer["config"])
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    file.write_bytes(pickle.dumps(outer | {"config": json.dumps(document)}, protocol=4))
    refused(file, words)


def test_choices_have_no_bounds_and_no_scale(tmp_path):
    directory = save_hugging_face(tmp_path / "ck", action_tanh=False)
    facts = {"discrete": True, "action_scale": [1.0, 1.0], "action_offset": [0.0, 0.0]}
    (directory / "policy.json").write_text(json.dumps(facts))
    refused(directory, "actions are discrete, so they have no")


def test_a_window_longer_than_the_positions_in_it(tmp_path):
    options = atari.Options()
    file = atari.save(tmp_path, atari.state_dict(np.random.default_rng(0), options), options)
    flags = Overrides(n_head=2, context_length=400)
    refused(file, "context_length is 400, and the checkpoint has positions for 6", flags)


@pytest.mark.parametrize("length", (MAX_CONTEXT_LENGTH + 1, 10**22))
def test_a_context_length_that_no_memory_holds(directory, length):
    with pytest.raises(UsageError, match=rf"--context-length is {length}, expected 1 to 4096"):
        load(str(directory), Overrides(context_length=length))


@pytest.mark.parametrize("model", ("~nobody-of-that-name/m.pt", "x" * 300, "a\x00b"))
def test_paths_that_cannot_be_looked_at(model, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refused(model, "--model")


@pytest.mark.parametrize(
    "name", ("config.json", "policy.json", "state_mean.npy", "model.safetensors")
)
def test_a_pipe_is_not_waited_for(directory, name):
    (directory / "state_std.npy").write_bytes(b"")
    (directory / name).unlink(missing_ok=True)
    os.mkfifo(directory / name)
    with pytest.raises(CheckpointError):
        load(str(directory))


def test_a_loop_of_links_is_no_checkpoint(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    refused(tmp_path / "a", "Too many levels of symbolic links|loop")


def test_numbers_a_little_off_the_sizes_of_the_weights(directory):
    save_file(
        load_file(directory / "model.safetensors") | {"embed_ln.bias": torch.zeros(7)},
        directory / "model.safetensors",
    )
    refused(directory, r"encoder.wpe.weight|embed_ln.bias has shape \[7\]")
