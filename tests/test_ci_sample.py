"""samples/ci as users have it: copied into a folder of their own."""

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import onnx
import pytest
import yaml
from onnx import numpy_helper
from pages import ROOT

pytestmark = pytest.mark.gate

SAMPLE = ROOT / "samples" / "ci"
WORKFLOW = yaml.safe_load((SAMPLE / "github-actions.yml").read_text(encoding="utf-8"))
(JOB,) = WORKFLOW["jobs"].values()
STEPS = {step.get("name", step.get("uses")): step for step in JOB["steps"]}


@pytest.fixture
def project(tmp_path, policy_file):
    """A user's repository, with an artifact."""
    for name in ("validate.sh", "test_policy.py"):
        shutil.copy(SAMPLE / name, tmp_path)
    shutil.copy(policy_file, tmp_path / "policy.onnx")
    command = tmp_path / "bin" / "dt-export"  # of this checkout, installed or not
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dt_export "$@"\n')
    command.chmod(0o755)
    return tmp_path


def ran(project: Path, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(
        (str(project / "bin"), str(Path(sys.executable).parent), os.environ["PATH"])
    )
    return subprocess.run(
        ["sh", "-c", command], cwd=project, env=os.environ | {"PATH": path} | environment,
        capture_output=True, text=True,
    )  # fmt: skip


def break_artifact(path: Path) -> None:
    model = onnx.load(path)
    weight = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    changed = numpy_helper.to_array(weight) * 1.01
    weight.CopyFrom(numpy_helper.from_array(changed, weight.name))
    onnx.save(model, path)


def verdicts(folder: Path) -> tuple[bool, int]:
    """What the JSON and the JUnit report say: passed, and the number of failures."""
    report = json.loads((folder / "validation.json").read_text(encoding="utf-8"))
    suite = ET.parse(folder / "validation.xml").getroot()
    failures = sum(1 for case in suite.iter("testcase") if case.find("failure") is not None)
    return report["passed"], failures


def test_the_script_exports_what_is_not_there(project, checkpoint_path):
    flags = {"ARTIFACT": "made.onnx", "EXPORT": "--graph step --no-validate"}
    done = ran(project, f"sh validate.sh {checkpoint_path} --context-length 4", **flags)
    assert done.returncode == 0, done.stdout + done.stderr
    contract = json.loads((project / "reports" / "contract.json").read_text(encoding="utf-8"))
    assert (contract["graph"], contract["context_length"]) == ("step", 4)
    assert verdicts(project / "reports") == (True, 0)


@pytest.mark.parametrize("arguments", ("", "no/such/model"))
def test_the_script_passes_a_usage_error_on(project, arguments):
    (project / "policy.onnx").unlink()
    assert ran(project, f"sh validate.sh {arguments}").returncode == 2


def test_the_workflow_runs_on_github():
    """As far as a machine without GitHub can tell: what its documentation asks for is there."""
    assert set(WORKFLOW) == {"name", True, "permissions", "jobs"}  # YAML reads ``on`` as true
    assert JOB["runs-on"] and JOB["timeout-minutes"] <= 60
    for step in JOB["steps"]:
        assert ("uses" in step) != ("run" in step)
        if "uses" in step:
            assert re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]), step["uses"]
    assert "-c constraints.txt" in STEPS["Install"]["run"]
    extras = set(re.findall(r"dt-export\[([\w,]+)\]", STEPS["Install"]["run"])[0].split(","))
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(re.search(rf"^{extra} = \[", text, re.M) for extra in extras)


def test_the_workflow_keeps_reports_always_and_the_artifact_only_if_all_passed():
    names = list(STEPS)
    reports, artifact = STEPS["Keep the reports"], STEPS["Keep the artifact"]
    assert reports["if"] == "always()" and "if" not in artifact
    assert names.index("Export and validate") < names.index("Keep the reports")
    assert names.index("Test the policy") < names.index("Keep the artifact")
    for step, variable in ((reports, "REPORTS"), (artifact, "ARTIFACT")):
        assert step["with"]["path"] == f"${{{{ env.{variable} }}}}"
        assert step["with"]["if-no-files-found"] == "error"


@pytest.mark.parametrize("broken", (False, True))
def test_the_steps_of_the_workflow_run(project, checkpoint_path, broken):
    """Its commands, word for word and in its environment."""
    if broken:
        break_artifact(project / "policy.onnx")
    reports = project / JOB["env"]["REPORTS"]
    environment = JOB["env"] | {"MODEL": str(checkpoint_path)}
    done = ran(project, STEPS["Export and validate"]["run"], **environment)
    assert done.returncode == int(broken), done.stdout + done.stderr
    passed, failures = verdicts(reports)
    assert passed != broken and (failures > 0) == broken
    assert (reports / "validation.html").stat().st_size > 10_000
    assert json.loads((reports / "contract.json").read_text(encoding="utf-8"))["graph"] == "policy"
    if broken:
        return  # the job ends here
    plugin = "-p dt_export.testing -p no:cacheprovider"  # where only a checkout is installed
    command = STEPS["Test the policy"]["run"].replace("pytest", f"pytest {plugin}", 1)
    done = ran(project, command, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (reports / "tests.xml").is_file()
