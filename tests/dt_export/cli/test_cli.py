"""The command line as a user meets it: exit codes, messages, and no traceback for a mistake."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from checkpoints_made_here import save_hugging_face
from onnx import numpy_helper


def test_export_says_what_to_run_next_and_that_works(cli, checkpoint_path, tmp_path):
    code, out, _ = cli(
        "onnx", "--model", checkpoint_path, "--context-length", 4, "--return-scale", 10
    )
    assert code == 0
    for words in ("equal to eager PyTorch", "worst error", "wrote tiny.onnx", "left padding 0..3"):
        assert words in out
    commands = [line.split()[1:] for line in out.splitlines() if line.startswith("  dt-export")]
    assert [command[0] for command in commands] == ["run", "validate", "inspect"]
    for command in commands[1:]:
        assert cli(*command)[0] == 0
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.onnx"]


def test_torchscript_mentions_its_deprecation_in_one_line(cli, checkpoint_path, recwarn):
    code, out, err = cli("torchscript", "--model", checkpoint_path, "--graph", "sequence")
    assert code == 0 and "wrote tiny_sequence.pt" in out
    assert (out + err).count("deprecated") == 1
    assert not [w for w in recwarn if "deprecated" in str(w.message)]


def test_assumed_facts_are_printed(cli, tmp_path):
    bare = save_hugging_face(tmp_path / "bare", statistics=False)
    code, out, _ = cli("torchscript", "--model", bare, "--no-validate")
    assert code == 0 and "not validated" in out
    for words in ("assumed --context-length 20", "assumed --return-scale 1000", "--stats FILE"):
        assert words in out


def test_outputs_of_a_sequence(cli, checkpoint_path):
    outputs = "action_preds, attentions"
    code, *_ = cli(
        "torchscript", "-m", checkpoint_path, "--graph", "sequence", "--outputs", outputs
    )
    assert code == 0
    contract = json.loads(cli("inspect", "tiny_sequence.pt", "--json")[1])
    assert [spec["name"] for spec in contract["outputs"]] == ["action_preds", "attentions"]


def test_all_outputs_of_a_sequence(cli, checkpoint_path):
    command = ("torchscript", "-m", checkpoint_path, "--graph", "sequence", "--no-validate")
    assert cli(*command, "--outputs", "all")[0] == 0
    contract = json.loads(cli("inspect", "tiny_sequence.pt", "--json")[1])
    assert [spec["name"] for spec in contract["outputs"]] == [
        "state_preds", "action_preds", "return_preds", "last_hidden_state", "hidden_states",
        "attentions",
    ]  # fmt: skip
    code, _, err = cli(*command, "--outputs", "all,attentions")
    assert code == 2 and "--outputs has 'all', expected some of" in err


def test_both_targets_fix_sizes(cli, checkpoint_path):
    sizes = ("--static-batch", 2, "--static-length", 3)
    code, out, _ = cli("torchscript", "-m", checkpoint_path, *sizes)
    assert code == 0 and "equal to eager PyTorch" in out
    contract = json.loads(cli("inspect", "tiny.pt", "--json")[1])
    assert contract["context_length"] == 3 and contract["inputs"][0]["shape"][:2] == [2, 3]


@pytest.mark.parametrize("reference", ("eager", "transformers"))
def test_validate_equal(cli, policy_file, checkpoint_path, reference):
    command = ("validate", policy_file, "--model", checkpoint_path, "--reference", reference)
    code, out, _ = cli(*command, "--json", "report.json")
    assert code == 0 and "equal to" in out
    report = json.loads(Path("report.json").read_text())
    assert report["passed"] and report["reference"] == reference
    assert len(report["comparisons"]) == report["cases"]
    assert report["artifact"] == str(policy_file) and report["provider"] == "CPUExecutionProvider"


def test_validate_finds_one_percent(cli, policy_file, checkpoint_path, tmp_path):
    model = onnx.load(policy_file)
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.float32:
            tensor.CopyFrom(numpy_helper.from_array(array * np.float32(1.01), tensor.name))
    onnx.save(model, tmp_path / "changed.onnx")
    code, out, err = cli("validate", "changed.onnx", "--model", checkpoint_path)
    assert code == 1
    assert "NOT equal" in out and "policy graph" in out and "expected" in out and "seen" in out
    assert "changed.onnx is not equal to tiny" in err


def test_fresh_inputs_every_time_and_the_same_for_a_seed(cli, policy_file, checkpoint_path):
    def verdict(*more):
        return cli("validate", policy_file, "-m", checkpoint_path, *more)[1].splitlines()[-1]

    assert verdict() != verdict()
    assert verdict("--seed", 5) == verdict("--seed", 5)


@pytest.mark.parametrize("target", ("onnx", "torchscript"))
def test_inspect(cli, artifacts, target):
    code, out, _ = cli("inspect", artifacts[target, "policy"])
    assert code == 0
    for words in ("[batch, sequence, 5]", "policy, fp32", "return scale", "operators: ", "sha256"):
        assert words in out


def test_models(cli):
    code, out, _ = cli("models")
    assert code == 0
    assert "bundled, works offline" in out
    assert "edbeeching/decision-transformer-gym-walker2d-expert" in out


def test_dialects(cli):
    code, out, _ = cli("models", "--dialects")
    assert code == 0
    for dialect in ("huggingface", "kzl", "online-dt", "corl", "min-dt", "d3rlpy", "atari"):
        assert dialect in out


def test_doctor(cli):
    code, out, _ = cli("doctor")
    assert code == 0
    assert "CPUExecutionProvider" in out and "torch" in out


def test_run_prints_returns_and_latencies(cli, tmp_path):
    robot = save_hugging_face(tmp_path / "robot", state_dim=11, act_dim=3)
    assert cli("onnx", "-m", robot, "--no-validate", "--env", "Hopper-v5")[0] == 0
    code, out, _ = cli("run", "robot.onnx", "--episodes", 2, "--target-return", 500, "--seed", 4)
    assert code == 0
    assert "mean return" in out and "p99 us" in out and "over 2 episodes" in out
    again = cli("run", "robot.onnx", "--episodes", 2, "--target-return", 500, "--seed", 4)[1]

    def returns(text):
        return [line.split()[3] for line in text.splitlines()[1:3]]

    assert returns(out) == returns(again)


def test_bench_prints_a_table_and_writes_it(cli, policy_file, checkpoint_path, tmp_path):
    flags = ("--steps", 5, "--no-cold", "--primed", 0, "--json", "b.json")
    code, out, _ = cli("bench", policy_file, "-m", checkpoint_path, *flags)
    assert code == 0
    assert "transformers eager" in out and "policy.onnx" in out and "5 turns" in out
    document = json.loads((tmp_path / "b.json").read_text())
    assert {side["title"] for side in document["results"]} >= {"our eager", "policy.onnx"}


def test_a_file_of_fixed_length_names_it_to_validate(cli, checkpoint_path):
    sizes = ("--static-batch", 1, "--static-length", 4)
    code, out, _ = cli("onnx", "-m", checkpoint_path, "-o", "fixed.onnx", *sizes)
    assert code == 0
    (command,) = (line.split() for line in out.splitlines() if "dt-export validate" in line)
    assert command[-2:] == ["--context-length", "4"]
    assert cli(*command[1:])[0] == 0


def test_slots_of_a_step(cli, tmp_path):
    robot = save_hugging_face(tmp_path / "robot", state_dim=11, act_dim=3)
    assert (
        cli("onnx", "-m", robot, "--no-validate", "--graph", "step", "--env", "Hopper-v5")[0] == 0
    )
    for slots in ("2", "ring"):
        code, out, _ = cli(
            "run", "robot_step.onnx", "--episodes", 1, "--target-return", 500, "--slots", slots
        )
        assert code == 0 and "over 1 episodes" in out


@pytest.mark.parametrize(
    ("command", "words"),
    (
        (
            ("onnx", "--model", "no/such/place/at/all"),
            ("no/such/place/at/all", "not an existing path"),
        ),
        (("onnx", "--model", "hoper"), ("did you mean 'hopper'",)),
        (("onnx", "--model", "{ck}", "--opset", "7"), ("--opset is 7", "20 to 23")),
        (("onnx", "--model", "{ck}", "--n-head", "3"), ("--n-head", "3", "config.json")),
        (("onnx", "--model", "{ck}", "--stats", "nothing.npz"), ("nothing.npz", "no such file")),
        (("onnx", "--model", "{ck}", "-o", "no/folder/p.onnx"), ("no/folder", "does not exist")),
        (("onnx", "--model", "{ck}", "-o", "p.bin"), ("p.bin", ".onnx")),
        (("onnx", "--model", "{ck}", "--graph", "walk"), ("walk", "policy", "sequence")),
        (("onnx", "--model", "{ck}", "--outputs", "attentions"), ("--outputs", "--graph policy")),
        (("onnx", "--modle", "x"), ("--modle", "--model")),
        (("validate", "nothing.onnx"), ("nothing.onnx", "no such file")),
        (("validate", "{policy}"), ("--model is missing",)),
        (("validate", "{policy}", "-m", "{ck}", "--json", "no/folder/r.json"), ("--json",)),
        (("run", "nothing.onnx"), ("nothing.onnx", "no such file")),
        (("run", "{policy}"), ("--env is missing",)),
        (("run", "{policy}", "--env", "Hoper-v5"), ("Hoper",)),
        (("run", "{policy}", "--env", "Hopper-v5"), ("action has shape (3,)", "(2,)")),
        (("run", "{policy}", "--env", "Hopper-v5", "--episodes", "0"), ("--episodes is 0",)),
        (("run", "{script}", "--env", "Hopper-v5"), ("ending in .onnx, .ort", "dt-export onnx")),
        (("onnx", "--model", "{ck}", "--precision", "fp8"), ("fp8", "fp16")),
        (("onnx", "--model", "{ck}", "--static-length", "900"), ("--static-length is 900",)),
        (("run", "{policy}", "--env", "Hopper-v5", "--slots", "2"), ("slots is 2", "--graph step")),
        (("run", "{step}", "--env", "Hopper-v5", "--slots", "many"), ("slots is 'many'", "'ring'")),
        (("bench", "nothing.onnx"), ("nothing.onnx", "no such file")),
        (("bench", "--sides", "fastest"), ("'fastest'", "step-int8")),
        (("bench", "--steps", "0"), ("--steps is 0",)),
        (("bench", "--rate", "0"), ("--rate",)),
        (("bench", "--plot", "figure.gif"), ("figure.gif", ".svg")),
        (("bench", "--json", "no/folder/b.json"), ("--json",)),
        (("inspect", "{ck}/config.json"), ("config.json", ".onnx, .ort, .pt")),
        (("walk",), ("walk",)),
    ),
)
def test_a_user_s_mistake_is_one_message_and_exit_code_2(
    cli, artifacts, checkpoint_path, command, words, monkeypatch
):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    places = {
        "ck": checkpoint_path,
        "policy": artifacts["onnx", "policy"],
        "step": artifacts["onnx", "step"],
        "script": artifacts["torchscript", "policy"],
    }
    code, out, err = cli(*(part.format(**places) for part in command))
    assert code == 2
    for word in words:
        assert word in err
    assert "Traceback" not in out + err


def test_provider_cuda_without_cuda(cli, policy_file, checkpoint_path):
    from dt_runtime import available_providers

    if "CUDAExecutionProvider" in available_providers():
        pytest.skip("ONNX Runtime has CUDA here")
    for command in (("validate", policy_file, "-m", checkpoint_path), ("run", policy_file)):
        code, _, err = cli(*command, "--provider", "cuda")
        assert code == 2 and "dt-runtime[gpu]" in err and "CPUExecutionProvider" in err


def test_run_without_gymnasium(cli, policy_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    code, _, err = cli("run", policy_file, "--env", "Hopper-v5")
    assert code == 2 and "pip install 'dt-export[gym]'" in err


def test_reference_transformers_where_it_is_not_installed(
    cli, policy_file, checkpoint_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "transformers", None)
    code, _, err = cli(
        "validate", policy_file, "-m", checkpoint_path, "--reference", "transformers"
    )
    assert code == 2 and "pip install transformers" in err


@pytest.mark.parametrize(
    "command", ((), ("onnx",), ("validate",), ("golden",), ("run",), ("bench",), ("inspect",))
)
def test_help(cli, command):
    code, out, _ = cli(*command, "--help")
    assert code == 0 and "Usage: dt-export" in out


def test_version(cli):
    assert cli("--version")[:2] == (0, "dt-export 0.1.0\n")


def test_light_commands_do_not_import_torch():
    program = """
import sys
sys.modules["torch"] = None
from dt_export.cli.app import main
main(["models"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0 and "hopper-expert" in done.stdout


def test_completion_offers_presets():
    environment = os.environ | {
        "_DT_EXPORT_COMPLETE": "complete_bash",
        "COMP_WORDS": "dt-export onnx --model hopper-m",
        "COMP_CWORD": "3",
    }
    done = subprocess.run(
        [sys.executable, "-m", "dt_export"], env=environment, capture_output=True, text=True
    )
    assert done.stdout.split() == ["hopper-medium"]


def test_ctrl_c_leaves_nothing_and_no_traceback(checkpoint_path, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "dt_export", "onnx", "--model", str(checkpoint_path)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background of a shell has SIGINT ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)  # until the temporary file is there: the export has begun
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in err and "interrupted" in err
    assert list(tmp_path.iterdir()) == []
