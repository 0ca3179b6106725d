"""Facts from flags and files, and who wins where several tell."""

import json

import numpy as np
import pytest
from checkpoints_made_here import save_hugging_face

from dt_export.checkpoints import Facts, Overrides, load
from dt_export.checkpoints.sidecars import from_flags, read_statistics
from dt_export.errors import CheckpointError, UsageError

MEAN, STD = [0.1, 1 / 3, -2.5e-7], [1.0, 0.7, 3e-4]


def test_statistics_from_npz(tmp_path):
    np.savez(tmp_path / "stats.npz", mean=np.array([MEAN]), std=np.array([STD]))  # CORL's [1, S]
    facts = read_statistics(tmp_path / "stats.npz")
    assert facts == Facts(state_mean=tuple(MEAN), state_std=tuple(STD))


def test_statistics_from_json(tmp_path):
    (tmp_path / "stats.json").write_text(json.dumps({"state_mean": MEAN, "state_std": STD}))
    facts = read_statistics(tmp_path / "stats.json")
    assert facts == Facts(state_mean=tuple(MEAN), state_std=tuple(STD))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    (
        ("stats.json", '{"state_mean": [1]}', ("state_std", "state_mean")),
        ("stats.json", '{"state_mean": ["x"], "state_std": [1]}', ("state_mean", "numbers")),
        ("stats.json", "[]", ("JSON object",)),
        ("stats.npz", "not a zip", ("cannot be read",)),
        ("stats.txt", "", (".npz", ".json")),
    ),
)
def test_statistics_that_cannot_be_read(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError) as caught:
        read_statistics(tmp_path / name)
    assert all(word in str(caught.value) for word in words)


def test_no_statistics_file(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        read_statistics(tmp_path / "stats.npz")


@pytest.mark.parametrize(
    ("flags", "words"),
    (
        (Overrides(context_length=0), "--context-length is 0"),
        (Overrides(return_scale=0.0), "--return-scale is 0"),
        (Overrides(return_scale=float("nan")), "--return-scale is nan"),
        (Overrides(target_return=float("inf")), "--target-return is inf"),
    ),
)
def test_flags_that_cannot_be(flags, words):
    with pytest.raises(UsageError, match=words):
        from_flags(flags)


def test_flags_win_over_files_and_files_over_fallback(tmp_path):
    directory = save_hugging_face(tmp_path / "ck", statistics=False)
    sidecar = {
        "context_length": 7,
        "return_scale": 50,
        "environment": "Robot-v0",
        "state_mean": [0.0] * 5,
        "state_std": [2.0] * 5,
        "target_returns": [90.0, 45.0],
        "unknown": "ignored",
    }
    (directory / "policy.json").write_text(json.dumps(sidecar))
    flags = Overrides(context_length=9, target_return=30.0)
    facts = load(str(directory), flags, fallback=Facts(environment="x", return_scale=1.0)).facts
    assert facts.context_length == 9
    assert facts.target_returns == (30.0,)
    assert facts.return_scale == 50.0
    assert facts.environment == "Robot-v0"
    assert facts.state_std == (2.0,) * 5


@pytest.mark.parametrize("value", (0, -3, "twenty", True))
def test_sidecar_with_an_impossible_context_length(tmp_path, value):
    directory = save_hugging_face(tmp_path / "ck")
    (directory / "policy.json").write_text(json.dumps({"context_length": value}))
    with pytest.raises(CheckpointError, match="context_length"):
        load(str(directory))
