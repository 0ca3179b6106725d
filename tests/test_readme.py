"""The README's commands do what it says they do."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from checkpoints_made_here import save_hugging_face
from oracles import atari, corl, d3rlpy_numpy, kzl, min_dt, online_dt

from dt_export.checkpoints import DIALECTS
from dt_export.cli.app import main

README = (Path(__file__).parents[1] / "README.md").read_text()
(DIALECTS_CHAPTER,) = re.findall(r"^## Dialects\n(.*?^)(?=## )", README, re.M | re.S)
SECTIONS = dict(re.findall(r"^### (\S+)\n(.*?)(?=^##|\Z)", DIALECTS_CHAPTER, re.M | re.S))
MAKERS = {
    "kzl": (kzl, kzl.Options(positions=8)),
    "online-dt": (online_dt, online_dt.Options(positions=8)),
    "corl": (corl, corl.Options()),
    "min-dt": (min_dt, min_dt.Options()),
    "d3rlpy": (d3rlpy_numpy, d3rlpy_numpy.Options(observation_shape=(5,))),
    "atari": (atari, atari.Options()),
}


def test_every_dialect_has_a_section():
    assert set(SECTIONS) == set(DIALECTS)


@pytest.mark.parametrize("dialect", SECTIONS)
def test_the_command_of_each_dialect(dialect, tmp_path, monkeypatch, capsys):
    """On a small checkpoint of the original's layout, at the path that the command names.

    And then the command that the export prints: it must see the checkpoint as the export did.
    """
    (command,) = re.findall(r"^dt-export (onnx .*)$", SECTIONS[dialect], re.M)
    monkeypatch.chdir(tmp_path)
    arguments = shlex.split(command)
    path = tmp_path / arguments[arguments.index("--model") + 1]
    path.parent.mkdir(parents=True)
    np.savez(tmp_path / "checkpoints" / "stats.npz", mean=np.zeros(5), std=np.ones(5))
    if dialect == "huggingface":
        save_hugging_face(path, statistics=False)
    else:
        module, options = MAKERS[dialect]
        weights = module.state_dict(np.random.default_rng(0), options)
        module.save(tmp_path / "made", weights, options).rename(path)
        for beside in (tmp_path / "made").glob("*.yaml"):
            beside.rename(path.parent / beside.name)
    with pytest.raises(SystemExit) as done:
        main(arguments)
    out = capsys.readouterr().out
    assert done.value.code == 0, out
    assert "equal to eager PyTorch" in out
    assert "warning" not in out

    (following,) = re.findall(r"^  dt-export (validate .*)$", out, re.M)
    with pytest.raises(SystemExit) as done:
        main(shlex.split(following))
    assert done.value.code == 0, capsys.readouterr().out


def test_the_commands_of_the_fast_loop(tmp_path, monkeypatch, capsys):
    """Every export of that chapter, as it stands there but without the long closed loop."""
    (chapter,) = re.findall(r"^## A fast control loop\n(.*?^)(?=## )", README, re.M | re.S)
    commands = re.findall(r"^dt-export (onnx .*?)(?:  +#.*)?$", chapter, re.M)
    assert len(commands) == 4
    monkeypatch.chdir(tmp_path)
    for command in commands:
        with pytest.raises(SystemExit) as done:
            main([*shlex.split(command), "--episodes", "0"])
        out = capsys.readouterr().out
        assert done.value.code == 0, out
        assert "to eager PyTorch" in out
    names = {"hopper.onnx", "hopper_step.onnx", "hopper_step.ort", "hopper_step_int8.onnx"}
    assert names <= {path.name for path in tmp_path.iterdir()}
