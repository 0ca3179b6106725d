"""The pytest plugin as its users have it: in a test suite of their own, run as another process."""

import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import numpy_helper

from dt_export import export, load

pytestmark = pytest.mark.gate

pytest_plugins = ["pytester"]

SUITE = """
import numpy as np

def test_a_policy(dt_policy):
    dt_policy.reset(target_return=100.0)
    action = dt_policy.act(np.zeros(dt_policy.contract.state.shape))
    assert np.abs(action).max() <= 1.0

def test_another_policy_is_a_new_one(dt_policy):
    assert dt_policy.timesteps.tolist() == [-1]
"""
VALIDATION = """
def test_it_equals_its_checkpoint(dt_artifact):
    assert dt_artifact.validate().passed
"""
PLUGIN = ("-p", "dt_export.testing")  # as the entry point loads it, where that is installed


@pytest.fixture
def suite(pytester):
    """A project whose tests use the plugin; gives a function that runs them."""
    pytester.makeini("[pytest]")
    pytester.makepyfile(test_policy=SUITE)

    def run(*flags):
        flags = ("-p", "no:cacheprovider", *PLUGIN, *flags)
        return pytester.runpytest_subprocess(*map(str, flags))

    return run


def test_an_artifact_and_its_model(suite, pytester, policy_file, checkpoint_path):
    pytester.makepyfile(test_validation=VALIDATION)
    done = suite("--dt-artifact", policy_file, "--dt-model", checkpoint_path)
    done.assert_outcomes(passed=3)


def test_a_model_alone_is_exported_once(suite, pytester, checkpoint_path):
    """To a temporary folder, with the facts that the suite adds."""
    pytester.makeconftest(
        """
        import pytest
        from dt_export import Overrides

        @pytest.fixture(scope="session")
        def dt_overrides():
            return Overrides(context_length=4, return_scale=50.0)
        """
    )
    pytester.makepyfile(
        test_facts="""
        def test_facts(dt_artifact):
            assert dt_artifact.contract.context_length == 4
            assert dt_artifact.contract.return_scale == 50.0
        """
    )
    done = suite("--dt-model", checkpoint_path, "--basetemp", pytester.path / "base")
    done.assert_outcomes(passed=3)
    assert len(list(pytester.path.glob("base/**/policy.onnx"))) == 1
    assert not list(pytester.path.glob("*.onnx"))


def test_in_processes_side_by_side(suite, policy_file):
    suite("--dt-artifact", policy_file, "-n", "2").assert_outcomes(passed=2)


def test_in_the_configuration(suite, pytester, policy_file, monkeypatch):
    """A relative path there starts from the configuration's folder, not from the current one."""
    (pytester.path / "policy.onnx").write_bytes(policy_file.read_bytes())
    pytester.makeini("[pytest]\ndt_artifact = policy.onnx")
    monkeypatch.chdir(pytester.mkdir("elsewhere"))
    suite("-c", pytester.path / "tox.ini", pytester.path).assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("flags", "words"),
    (
        ((), "*no artifact to test: pass --dt-artifact FILE, or --dt-model MODEL*"),
        (("--dt-artifact", "gone.onnx"), "*gone.onnx: no such file*"),
        (("--dt-model", "hoper"), "*did you mean 'hopper'*"),
    ),
)
def test_without_an_artifact_the_run_fails(suite, flags, words):
    """A gate that skipped would let everything through."""
    done = suite(*flags)
    assert done.ret == 1
    done.assert_outcomes(errors=2)
    done.stdout.fnmatch_lines([words])
    assert "Traceback" not in done.stdout.str() and "testing.py" not in done.stdout.str()


def test_a_broken_artifact_fails(suite, policy_file, checkpoint_path, pytester):
    model = onnx.load(policy_file)
    weight = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    changed = numpy_helper.to_array(weight) * 1.01
    weight.CopyFrom(numpy_helper.from_array(changed, weight.name))
    onnx.save(model, pytester.path / "broken.onnx")
    pytester.makepyfile(test_policy=VALIDATION)
    done = suite("--dt-artifact", "broken.onnx", "--dt-model", checkpoint_path)
    assert done.ret == 1
    done.assert_outcomes(failed=1)


def test_episodes_in_an_environment(suite, pytester):
    export(load("hopper"), "onnx", pytester.path / "hopper.onnx", validate=False)
    pytester.makepyfile(
        test_policy="""
        def test_returns(dt_artifact):
            (episode,) = dt_artifact.play(target_return=6000.0, seed=0)
            assert episode.target_return == 6000.0 and episode.length < 1000
        """
    )
    suite("--dt-artifact", "hopper.onnx", "--dt-env", "Hopper-v5").assert_outcomes(passed=1)


def test_it_can_be_switched_off(pytester):
    pytester.makepyfile("def test_policy(dt_policy): pass")
    done = pytester.runpytest_subprocess("-p", "no:dt_export.testing")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*fixture 'dt_policy' not found*"])


def test_other_test_runs_pay_nothing_for_it():
    """Whoever has dt-export installed loads the plugin in every run: it imports nothing heavy."""
    heavy = ("torch", "numpy", "onnx", "onnxruntime", "typer", "rich", "gymnasium")
    code = f"import sys, dt_export.testing; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_entry_point_names_the_module():
    """By the same name: ``-p dt_export.testing`` must not register it a second time."""
    import tomllib

    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"dt_export.testing": "dt_export.testing"}
