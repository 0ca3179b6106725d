"""The pytest plugin as its users have it: in a test suite of their own, run as another process."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

SUITE = """
import numpy as np

def test_it_equals_its_checkpoint(dt_artifact):
    assert dt_artifact.validate().passed
    assert dt_artifact.contract.action.size == 2

def test_a_policy(dt_policy):
    dt_policy.reset(target_return=100.0)
    action = dt_policy.act(np.zeros(dt_policy.contract.state.shape))
    assert np.abs(action).max() <= 1.0

def test_another_policy_is_a_new_one(dt_policy):
    assert dt_policy.timesteps.tolist() == [-1]
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


def test_an_artifact_and_its_model(suite, policy_file, checkpoint_path):
    done = suite("--dt-artifact", policy_file, "--dt-model", checkpoint_path)
    done.assert_outcomes(passed=3)


def test_a_model_alone_is_exported_once(suite, checkpoint_path, pytester):
    done = suite("--dt-model", checkpoint_path, "--basetemp", pytester.path / "base")
    done.assert_outcomes(passed=3)
    assert len(list(pytester.path.glob("base/**/policy.onnx"))) == 1
    assert not list(pytester.path.glob("*.onnx"))


def test_in_processes_side_by_side(suite, policy_file, checkpoint_path):
    done = suite("--dt-artifact", policy_file, "--dt-model", checkpoint_path, "-n", "2")
    done.assert_outcomes(passed=3)


def test_in_the_configuration(pytester, suite, policy_file, checkpoint_path, monkeypatch):
    """A relative path there starts from the configuration's folder, not from the current one."""
    (pytester.path / "policy.onnx").write_bytes(policy_file.read_bytes())
    pytester.makeini(f"[pytest]\ndt_artifact = policy.onnx\ndt_model = {checkpoint_path}")
    elsewhere = pytester.mkdir("elsewhere")
    monkeypatch.chdir(elsewhere)
    suite(
        "--rootdir", pytester.path, "-c", pytester.path / "tox.ini", pytester.path
    ).assert_outcomes(passed=3)


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
    done.assert_outcomes(errors=3)
    done.stdout.fnmatch_lines([words])
    assert "Traceback" not in done.stdout.str() and "testing.py" not in done.stdout.str()


def test_a_broken_artifact_fails(suite, policy_file, checkpoint_path, pytester):
    import onnx
    from onnx import numpy_helper

    model = onnx.load(policy_file)
    weight = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    changed = numpy_helper.to_array(weight) * 1.01
    weight.CopyFrom(numpy_helper.from_array(changed, weight.name))
    onnx.save(model, pytester.path / "broken.onnx")
    done = suite("--dt-artifact", "broken.onnx", "--dt-model", checkpoint_path)
    assert done.ret == 1
    done.assert_outcomes(failed=1, passed=2)


def test_facts_of_the_checkpoint_come_from_the_suite(suite, pytester, checkpoint_path):
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
        test_policy="""
        def test_facts(dt_artifact):
            assert dt_artifact.contract.context_length == 4
            assert dt_artifact.contract.return_scale == 50.0
            assert dt_artifact.validate().passed
        """
    )
    suite("--dt-model", checkpoint_path).assert_outcomes(passed=1)


def test_episodes_in_an_environment(suite, pytester):
    """Of the bundled policy: the contract names the environment."""
    pytester.makepyfile(
        test_policy="""
        def test_returns(dt_artifact):
            (episode,) = dt_artifact.play(target_return=6000.0, seed=0)
            assert episode.length < 1000

        def test_one_slot(dt_artifact):
            assert dt_artifact.policy().contract.environment == "Hopper-v5"
        """
    )
    suite("--dt-model", "hopper", "--dt-env", "Hopper-v5").assert_outcomes(passed=2)


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
