"""Checkpoints and artifacts that many tests share; made once a session."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import fuzz.summary
import mutations.summary
import transformers
from checkpoints_made_here import save_hugging_face
from pages import reader  # noqa: F401 - a fixture

from dt_export.checkpoints import Checkpoint, Overrides, load
from dt_export.cli.app import main
from dt_export.exporting import export

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

torch.set_num_threads(1)  # tiny models: more threads only wait for one another

CONTEXT_LENGTH = 6


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of the product as a whole go first: they take long, and nobody waits for them then.

    Whole episodes and what surrounds a release gate are left out of it: ``pytest -m gate``.
    """
    if "gate" not in config.option.markexpr:
        gate = [item for item in items if item.get_closest_marker("gate")]
        config.hook.pytest_deselected(items=gate)
        items[:] = [item for item in items if item not in gate]
    here = Path(__file__).parent
    items.sort(key=lambda item: item.path.parent != here)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Counts of long suites, after the tests."""
    fuzz.summary.pytest_terminal_summary(terminalreporter)
    mutations.summary.pytest_terminal_summary(terminalreporter)


Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """Run a command in an empty folder; gives (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")

    def run(*args: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(arg) for arg in args])
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run


@pytest.fixture(scope="session")
def network() -> None:
    """Skips a test where the Hugging Face hub cannot be reached."""
    from huggingface_hub import HfApi

    try:
        HfApi().model_info("edbeeching/decision-transformer-gym-hopper-expert", timeout=10)
    except Exception as error:
        pytest.skip(f"the Hugging Face hub cannot be reached: {type(error).__name__}")


@pytest.fixture(scope="session")
def checkpoint_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Hugging Face checkpoint with statistics."""
    return save_hugging_face(tmp_path_factory.mktemp("checkpoints") / "tiny")


@pytest.fixture(scope="session")
def checkpoint(checkpoint_path: Path) -> Checkpoint:
    flags = Overrides(context_length=CONTEXT_LENGTH, return_scale=100.0, target_return=250.0)
    return load(str(checkpoint_path), flags)


@pytest.fixture(scope="session")
def artifacts(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """(target, graph) -> validated file. One process of pytest-xdist makes them for all."""
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    base = tmp_path_factory.getbasetemp()
    folder = (base if alone else base.parent) / "artifacts"
    folder.mkdir(exist_ok=True)
    made = {}
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for target, suffix in (("onnx", ".onnx"), ("torchscript", ".pt")):
            for graph in ("policy", "step", "sequence"):
                made[target, graph] = path = folder / f"{graph}{suffix}"
                if not path.exists():
                    export(checkpoint, target, path, graph=graph)
    return made


@pytest.fixture(scope="session")
def policy_file(artifacts: dict) -> Path:
    return artifacts["onnx", "policy"]


@pytest.fixture(scope="session")
def step_file(artifacts: dict) -> Path:
    return artifacts["onnx", "step"]


@pytest.fixture(scope="session")
def sequence_file(artifacts: dict) -> Path:
    return artifacts["onnx", "sequence"]
