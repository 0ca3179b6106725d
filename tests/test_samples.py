"""The samples run end to end in their quick mode, and what they make can be exported."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dt_export.checkpoints import load
from dt_export.exporting import export

SAMPLES = Path(__file__).parents[1] / "samples"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sample", "state", "discrete"), (("train_hopper", 11, False), ("train_cartpole", 4, True))
)
def test_quick_mode(sample, state, discrete, tmp_path):
    command = [sys.executable, SAMPLES / f"{sample}.py", "--quick", "--output", tmp_path / "made"]
    if sample == "train_hopper":
        command += ["--work", tmp_path / "work"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    checkpoint = load(str(tmp_path / "made"))
    assert checkpoint.notes == checkpoint.warnings == ()
    assert checkpoint.model.config.state_dim == state
    assert checkpoint.model.config.discrete == discrete
    _, report = export(checkpoint, "torchscript", tmp_path / "made.pt")
    assert report.passed


def test_a_checkpoint_of_somebody_else_is_kept(checkpoint_path, tmp_path):
    """Before anything is collected or trained."""
    folder = tmp_path / "mine"
    shutil.copytree(checkpoint_path, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    command = [sys.executable, SAMPLES / "train_hopper.py", "--quick", "--output", folder]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "choose another --output" in done.stdout
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("sample", "flags", "kept"),
    (
        ("train_cartpole", ("--output", "."), "policy.json"),
        ("train_hopper", ("--output", "new", "--plot", "returns.svg"), "returns.svg"),
        ("train_hopper", ("--output", "new", "--plot", "returns.svg"), "returns.png"),
    ),
)
def test_nothing_is_replaced_without_force(sample, flags, kept, tmp_path):
    (tmp_path / kept).write_text("mine")
    command = [sys.executable, SAMPLES / f"{sample}.py", "--quick", *flags]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout.count("\n") == 1
    assert kept in done.stdout and "--force" in done.stdout
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(kept, "mine")]
