"""docs/architecture.md is followed: what it tells you to write works, and its tree is the tree."""

import re
from types import ModuleType

import numpy as np
import pytest
import torch
from oracles import kzl
from pages import ARCHITECTURE_PAGE, PAGES, ROOT, blocks

from dt_export.checkpoints import DIALECTS, load
from dt_export.cli.app import app, main
from dt_export.graphs import Kind

TEXT = PAGES[ARCHITECTURE_PAGE].read_text(encoding="utf-8")


def written(heading: str) -> ModuleType:
    """The Python of one section, as the module that a contributor would write."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S)
    (block,) = [block for block in blocks(section) if block.language == "python"]
    module = ModuleType("written")
    exec(compile(block.code, heading, "exec"), module.__dict__)
    return module


def called(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as done:
        main(command.split())
    printed = capsys.readouterr()
    assert done.value.code == 0, printed.out + printed.err
    return printed.out


def test_how_to_add_a_dialect(tmp_path, monkeypatch, capsys):
    dialect = written("How to add a dialect")
    options = kzl.Options(positions=8)
    weights = kzl.state_dict(np.random.default_rng(0), options)
    tensors = {f"agent.{name}": torch.as_tensor(value) for name, value in weights.items()}
    torch.save(tensors, tmp_path / "agent.pt")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(DIALECTS, "prefixed", dialect)
    out = called("onnx --model agent.pt --n-head 2", capsys)
    assert "prefixed, 2 layers, 2 heads" in out
    assert "equal to eager PyTorch" in out
    assert dialect.LOOKED_FOR.split()[0] in called("models --dialects", capsys)


def test_how_to_add_a_graph():
    """Its module runs, and gives what its specs say."""
    kind: Kind = written("How to add a graph").KIND
    checkpoint = load("hopper")
    inputs = [
        torch.ones(spec.sized(kind.example), dtype=getattr(torch, spec.dtype))
        for spec in kind.input_specs(checkpoint.model.config)
    ]
    names = kind.output_names(checkpoint.model.config)
    (spec,) = kind.output_specs(checkpoint.model.config, names)
    (found,) = kind.module(checkpoint)(*inputs)
    assert (spec.name, tuple(found.shape)) == ("last_hidden_state", spec.sized(kind.example))


def test_how_to_add_a_command(monkeypatch, capsys):
    monkeypatch.setattr(app, "registered_commands", list(app.registered_commands))
    app.command()(written("How to add a command").count)
    assert "hopper has 7" in called("count --model hopper", capsys)
    assert "Count the parameters" in called("--help", capsys)


def test_every_folder_of_the_tree_is_listed():
    listed = set(re.findall(r"^\| `([\w/]+)/` \|", TEXT, re.M))
    for folder in listed:
        assert (ROOT / folder).is_dir(), folder
    packages = {path.parent.name for path in (ROOT / "dt_export").glob("*/__init__.py")}
    assert {f"dt_export/{name}" for name in packages} <= listed


def test_the_layers_are_those_that_ci_holds():
    """The page and import-linter's contract in pyproject.toml name the same ones."""
    (block,) = re.findall(r"^```\ncli\n(.*?)```", TEXT, re.M | re.S)
    (contract,) = re.findall(
        r'^layers = \[\n    "cli",\n(.*?)^\]',
        (ROOT / "pyproject.toml").read_text("utf-8"),
        re.M | re.S,
    )
    assert re.findall(r"\w+", block) == re.findall(r"\w+", contract)
