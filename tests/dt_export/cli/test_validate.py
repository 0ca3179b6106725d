"""`dt-export validate`: what it asks for, what it prints, what it writes, and how it exits."""

import json

import gymnasium
import numpy as np
import onnx
import pytest
from gymnasium import spaces
from onnx import numpy_helper

from dt_export.validation.document import Document

STEPS = 12


class Walk(gymnasium.Env):
    """Observations that follow the actions, so that errors would show in the return."""

    def __init__(self):
        self.observation_space = spaces.Box(-np.inf, np.inf, (5,), np.float64)
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state, self.steps = self.np_random.standard_normal(5), 0
        return self.state.copy(), {}

    def step(self, action):
        self.steps += 1
        self.state[:2] = 0.9 * self.state[:2] + 0.1 * np.asarray(action, np.float64)
        return self.state.copy(), 10 + float(self.state[0]), False, self.steps == STEPS, {}


@pytest.fixture(scope="module", autouse=True)
def walk():
    gymnasium.register("Walk-v0", entry_point=Walk)
    yield
    del gymnasium.registry["Walk-v0"]


@pytest.fixture
def broken(policy_file, tmp_path):
    """The head off by a hundredth."""
    model = onnx.load(policy_file)
    (head,) = (
        t for t in model.graph.initializer if "predict_action" in t.name and len(t.dims) == 2
    )
    head.CopyFrom(
        numpy_helper.from_array(numpy_helper.to_array(head) * np.float32(1.01), head.name)
    )
    onnx.save(model, tmp_path / "broken.onnx")
    return tmp_path / "broken.onnx"


LOOP = ("--env", "Walk-v0", "--episodes", "3", "--workers", "1")


def trace(path, steps=9, sizes=(5, 2)):
    rng = np.random.default_rng(0)
    observation, action = sizes
    np.savez(
        path,
        observations=rng.standard_normal((steps, observation)),
        actions=rng.uniform(-1, 1, (steps, action)),
        rewards=np.ones(steps),
        ends=np.arange(steps) == steps - 1,
    )
    return path


def test_everything_at_once(cli, policy_file, checkpoint_path, tmp_path):
    command = ("validate", policy_file, "-m", checkpoint_path)
    facts = ("--context-length", "6", "--return-scale", "100", "--target-return", "250")
    code, _, _ = cli("golden", policy_file, "-m", checkpoint_path, "-o", tmp_path / "g.json")
    assert code == 0
    code, out, _ = cli(
        *command, *facts, *LOOP, "--golden", tmp_path / "g.json", "--trace",
        trace(tmp_path / "log.npz"), "--first-seed", "4", "--json", tmp_path / "r.json",
        "--junit", tmp_path / "r.xml", "--report", tmp_path / "r.html",
    )  # fmt: skip
    assert code == 0
    for line in (
        "golden episode: equal",
        "trace: equal along it (1 episode, 9 steps",
        "equal to eager",
    ):
        assert line in out
    assert (
        "closed loop passed: the artifact earns what eager PyTorch earns (Walk-v0, 3 pairs" in out
    )
    report = Document.from_json((tmp_path / "r.json").read_text()).report
    assert report.passed and report.golden.acts > 0 and report.trace.steps == 9
    assert [pair.seed for pair in report.closed_loop.pairs] == [4, 5, 6]
    assert [pair.parted for pair in report.closed_loop.pairs] == [None] * 3
    page = (tmp_path / "r.html").read_text()
    # The command to repeat it, with the seed that was drawn.
    assert f"--seed {report.seed}" in page and "--first-seed 4" in page
    assert "<testsuites" in (tmp_path / "r.xml").read_text()


def test_a_broken_file_fails_everywhere(cli, broken, checkpoint_path, tmp_path):
    code, out, err = cli(
        "validate", broken, "-m", checkpoint_path, *LOOP, "--trace", trace(tmp_path / "log.npz"),
        "--json", tmp_path / "r.json", "--junit", tmp_path / "r.xml",
        "--report", tmp_path / "r.html",
    )  # fmt: skip
    assert code == 1
    assert "NOT equal to eager PyTorch" in out and "trace: NOT equal along it" in out
    assert "on the baseline's own observations an action is off by" in out
    assert "likely: " in out
    assert err == f"failed: {broken} is not equal to tiny\n"
    content = json.loads((tmp_path / "r.json").read_text())
    assert not content["passed"] and content["diagnosis"]
    assert "<failure" in (tmp_path / "r.xml").read_text()
    assert (tmp_path / "r.html").exists()


def test_a_tolerance_replaces_the_bounds(cli, broken, checkpoint_path):
    assert cli("validate", broken, "-m", checkpoint_path, "--tolerance", "0.1")[0] == 0
    code, out, _ = cli("validate", broken, "-m", checkpoint_path, "--tolerance", "1e-6")
    assert code == 1 and "(tolerance 1e-06;" in out


def test_a_golden_episode_that_differs(cli, policy_file, checkpoint_path, tmp_path):
    recording = tmp_path / "g.json"
    assert cli("golden", policy_file, "-m", checkpoint_path, "-o", recording)[0] == 0
    content = json.loads(recording.read_text())
    content["events"][3]["act"]["expected"]["actions"][0][0] += 0.5
    recording.write_text(json.dumps(content))
    code, out, err = cli("validate", policy_file, "-m", checkpoint_path, "--golden", recording)
    assert code == 1 and "golden episode: NOT equal" in out and "event 3, row 0" in out
    assert err.endswith("does not reproduce the golden episode\n")


def test_an_undecided_loop_is_no_pass(cli, policy_file, checkpoint_path):
    """One episode shows no spread."""
    once = ("--env", "Walk-v0", "--episodes", "1", "--workers", "1")
    code, out, err = cli("validate", policy_file, "-m", checkpoint_path, *once)
    assert code == 1 and "closed loop UNDECIDED" in out
    assert err.endswith("the closed loop is undecided, which is no pass\n")


def test_a_target_return_that_was_chosen_at_export(cli, checkpoint_path, tmp_path):
    """The command that the export prints validates it."""
    path = tmp_path / "p.pt"
    made = ("-m", checkpoint_path, "--context-length", "6", "--return-scale", "100")
    code, out, _ = cli("torchscript", *made, "-o", path, "--target-return", "70")
    (line,) = (line for line in out.splitlines() if line.strip().startswith("dt-export validate"))
    assert code == 0 and "--target-return 70" in line
    assert cli(*line.split()[1:])[0] == 0


@pytest.mark.parametrize(
    ("flags", "words"),
    (
        (("--until-sure",), "--until-sure needs episodes: add --env"),
        (("--workers", "2"), "--workers needs episodes: add --env"),
        (("--record", "r.gif"), "--record needs episodes: add --env"),
        (("--target-return", "1,x"), "--target-return is 'x', expected finite numbers"),
        (("--target-return", "1e99"), "--target-return is '1e99', expected finite numbers"),
        (("--allowed", "much"), "--allowed is 'much', expected a percentage"),
        (("--tolerance", "nan"), "--tolerance is nan"),
        (("--golden", "no.json"), "--golden no.json: no such file"),
        (("--trace", "no.npz"), "--trace no.npz: no such file"),
        (("--env", "NoSuch-v0"), "--env NoSuch-v0"),
        (("--json", "r.out", "--junit", "./r.out"), "--junit r.out is the file of --json too"),
        (("--report", "r.pdf"), "--report r.pdf: expected a file ending in .html"),
        (("--report", "no/r.html"), "the folder no does not exist"),
        (("--junit", "no/r.xml"), "the folder no does not exist"),
        (("--env", "Walk-v0", "--record", "r.avi"), "--record r.avi"),
    ),
)
def test_wrong_flags(cli, policy_file, checkpoint_path, flags, words):
    code, _, err = cli("validate", policy_file, "-m", checkpoint_path, *flags)
    assert code == 2 and words in err


def test_an_environment_is_asked_for_first(cli, policy_file, checkpoint_path):
    """Nothing is compared, since nothing could be played."""
    code, out, err = cli("validate", policy_file, "-m", checkpoint_path, "--env", "NoSuch-v0")
    assert code == 2 and "--env NoSuch-v0" in err and out == ""


@pytest.mark.parametrize("flag", ("--json", "--junit", "--report"))
def test_files_of_others_are_not_replaced(cli, policy_file, checkpoint_path, tmp_path, flag):
    suffix = {"--json": ".json", "--junit": ".xml", "--report": ".html"}[flag]
    path = tmp_path / f"mine{suffix}"
    path.write_text("mine")
    command = ("validate", policy_file, "-m", checkpoint_path, flag, path)
    code, _, err = cli(*command)
    assert code == 2 and "dt-export did not write it" in err and path.read_text() == "mine"
    assert cli(*command, "--force")[0] == 0
    assert cli(*command)[0] == 0  # now it is ours


def test_a_recording_in_an_environment_that_cannot_render(cli, policy_file, checkpoint_path):
    code, _, err = cli("validate", policy_file, "-m", checkpoint_path, *LOOP, "--record", "r.gif")
    assert code == 2 and "render" in err


def test_github_is_told(cli, broken, checkpoint_path, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    code, out, _ = cli("validate", broken, "-m", checkpoint_path)
    assert code == 1 and "\n::error title=broken.onnx" in out
    assert "broken.onnx" in (tmp_path / "summary.md").read_text()
