"""docs/architecture.md is followed: what it tells you to write works, and its tree is the tree."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from dt_runtime import Policy, checks
from oracles import kzl
from pages import ARCHITECTURE_PAGE, PAGES, ROOT, blocks

from dt_export import options
from dt_export.checkpoints import DIALECTS, load
from dt_export.cli.app import COMMANDS, app, main
from dt_export.graphs import GRAPHS, Kind
from dt_export.graphs.kind import DTYPES
from dt_export.targets import BY_SUFFIX, TARGETS, open_artifact
from dt_export.validation.golden import TOLERANCES
from dt_export.validation.levels import CEILINGS

TEXT = PAGES[ARCHITECTURE_PAGE].read_text(encoding="utf-8")


def written(heading: str) -> ModuleType:
    """The Python of one section, as the module that a contributor would write."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S)
    module = ModuleType("written")
    for block in blocks(section):
        if block.language == "python":
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


def edited(path: Path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, (path, before)
    path.write_text(text.replace(before, after), encoding="utf-8")


def test_how_to_add_a_graph(checkpoint_path, tmp_path):
    """In a copy of the code: each step of the page, then exported, validated and inspected."""
    for package in ("dt_export", "runtimes/python/dt_runtime"):
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tmp_path / Path(package).name, ignore=skip)
    (code,) = re.findall(r"```python\n(# dt_export/graphs/features.py\n.*?)```", TEXT, re.S)
    (entry,) = re.findall(r'`("features": Rules\(.*\))`', TEXT)

    def ran(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *command.split()],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=300,
        )

    graphs, model = tmp_path / "dt_export/graphs", f"--model {checkpoint_path}"
    (graphs / "features.py").write_text(code, encoding="utf-8")
    edited(graphs / "__init__.py", "import backbone,", "import backbone, features,")
    edited(graphs / "__init__.py", "backbone.KIND)", "backbone.KIND, features.KIND)")
    edited(
        tmp_path / "dt_export/options.py", "\nGRAPHS = {", '\nGRAPHS = {\n    "features": "new",'
    )
    export = f"dt_export onnx {model} --context-length 6 --return-scale 100 --graph features"
    rejected = ran(f"{export} -o f.onnx")
    assert "graph = 'features', expected" in rejected.stderr  # the last step is missing
    edited(tmp_path / "dt_runtime/checks.py", "\nGRAPHS = {", f"\nGRAPHS = {{\n    {entry},")
    done = ran(f"{export} -o f.onnx")
    assert done.returncode == 0 and "equal to eager PyTorch" in done.stdout, done.stderr
    done = ran(f"dt_export validate f.onnx {model} --return-scale 100")
    assert done.returncode == 0 and "equal to eager PyTorch" in done.stdout, done.stderr
    assert '"graph": "features"' in ran("dt_export inspect f.onnx --json").stdout
    schema = json.loads(ran("dt_runtime.contract_schema").stdout)
    assert "features" in schema["properties"]["graph"]["enum"]


def test_a_graph_s_module_gives_what_its_specs_say():
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


@pytest.mark.parametrize("graph", ("policy", "step --static-batch 1", "sequence", "backbone"))
def test_how_to_add_a_target(graph, checkpoint_path, tmp_path, monkeypatch, capsys):
    """Exported, validated, replaced, opened by its suffix, inspected and run."""
    new = written("How to add a target")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(TARGETS, new.TARGET.name, new.TARGET)
    monkeypatch.setitem(BY_SUFFIX, new.SUFFIX, new.TARGET)
    monkeypatch.setattr(app, "registered_commands", list(app.registered_commands))
    app.command()(new.program)
    model = f"--model {checkpoint_path} --context-length 6 --return-scale 100"
    for _ in range(2):  # the second time it replaces its own file
        out = called(f"program {model} --graph {graph} -o p.pt2", capsys)
        assert "equal to eager PyTorch" in out and "dt-export run" not in out
    if graph == "policy":
        assert "equal to eager PyTorch" in called(f"validate p.pt2 {model}", capsys)
        assert '"target": "program"' in called("inspect p.pt2 --json", capsys)
        policy = Policy(open_artifact(Path("p.pt2")).engine)
        policy.reset(100.0)
        assert np.isfinite(policy.act(np.zeros(policy.contract.state.size))).all()


def test_what_help_lists_is_what_there_is():
    """Help reads names from tables that import no PyTorch."""
    assert tuple(GRAPHS) == tuple(options.GRAPHS) == tuple(checks.GRAPHS)
    assert (
        tuple(DTYPES)
        == options.PRECISIONS
        == checks.PRECISIONS
        == tuple(TOLERANCES)
        == tuple(CEILINGS)
    )
    assert set(TARGETS) <= {command.__name__ for command in COMMANDS}


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
    (block,) = re.findall(r"^```\n(cli.*?)```", TEXT, re.M | re.S)
    (contract,) = re.findall(
        r"^layers = \[\n(.*?)^\]",
        (ROOT / "pyproject.toml").read_text("utf-8"),
        re.M | re.S,
    )
    assert re.findall(r"\w+", block) == re.findall(r"\w+", contract)
