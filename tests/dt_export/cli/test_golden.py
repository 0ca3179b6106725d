"""`dt-export golden`: a recording is the same for the same seed, and a wrong file fails it."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper


@pytest.mark.parametrize(
    "kind", (("onnx", "policy"), ("onnx", "step"), ("torchscript", "policy")), ids="-".join
)
def test_what_was_recorded_can_be_replayed(cli, artifacts, checkpoint_path, kind):
    file = artifacts[kind]
    code, out, err = cli("golden", file, "-m", checkpoint_path, "--seed", 3)
    assert code == 0, err
    recording = f"{file.stem}.golden.json"
    assert f"wrote {recording}" in out and "seed 3" in out
    (command,) = (line.split()[1:] for line in out.splitlines() if line.startswith("  dt-export"))
    code, out, err = cli(*command)
    assert code == 0, err
    assert "equal to the recording" in out and "seed 3" in out


def test_the_same_seed_records_the_same_bytes(cli, policy_file, checkpoint_path):
    for name, seed in (("a.json", 1), ("b.json", 1), ("c.json", 2)):
        assert cli("golden", policy_file, "-m", checkpoint_path, "-o", name, "--seed", seed)[0] == 0
    a, b, c = (Path(name).read_bytes() for name in ("a.json", "b.json", "c.json"))
    assert a == b != c


def test_rows_and_slots(cli, step_file, checkpoint_path):
    command = ("golden", step_file, "-m", checkpoint_path, "-o", "g.json")
    assert cli(*command, "--batch", 3, "--slots", 2)[0] == 0
    assert json.loads(Path("g.json").read_text())["options"] == {"batch_size": 3, "slots": 2}
    assert cli("golden", step_file, "--replay", "g.json")[0] == 0


def test_other_weights_fail_the_replay(cli, policy_file, checkpoint_path, tmp_path):
    assert cli("golden", policy_file, "-m", checkpoint_path, "-o", "g.json")[0] == 0
    model = onnx.load(policy_file)
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.float32:
            tensor.CopyFrom(numpy_helper.from_array(array * np.float32(1.01), tensor.name))
    onnx.save(model, tmp_path / "changed.onnx")
    code, out, err = cli("golden", "changed.onnx", "--replay", "g.json")
    assert code == 1 and "NOT equal to the recording" in out and "row 0: actions" in out
    assert "changed.onnx does not reproduce g.json" in err
    assert cli("golden", "changed.onnx", "--replay", "g.json", "--tolerance", 10)[0] == 0


@pytest.mark.parametrize(
    ("command", "words"),
    (
        ("nothing.onnx -m {ck}", ("nothing.onnx: no such file",)),
        ("{policy} -m {ck} --slots 2", ("slots is 2", "policy graph has none")),
        ("{step} -m {ck} --slots 99", ("slots is 99", "1 to 6")),
        ("{policy} -m {ck} --batch 0", ("--batch is 0", "1 to 64")),
        ("{policy} -m {ck} --tolerance 1", ("--tolerance needs --replay",)),
        ("{policy} -m {ck} -o {ck}/config.json", ("config.json", "--output")),
        ("{policy} --replay nothing.json", ("nothing.json: no such file",)),
        ("{policy} --replay {ck}/config.json", ("config.json", "golden episode")),
        ("{policy} --replay g.json -m {ck}", ("--model is for a new recording",)),
        ("{step} --replay g.json", ("graph = policy", "graph = step")),
        ("{sequence} --replay g.json", ("graph = policy", "graph = sequence")),
    ),
)
def test_a_mistake(cli, artifacts, checkpoint_path, command, words):
    places = {graph: artifacts["onnx", graph] for graph in ("policy", "step", "sequence")}
    policy = places["policy"]
    assert cli("golden", policy, "-m", checkpoint_path, "-o", "g.json")[0] == 0
    code, out, err = cli("golden", *command.format(**places, ck=checkpoint_path).split())
    assert code == 2 and "Traceback" not in out + err
    for word in words:
        assert word in err


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no cc")
def test_a_recording_as_a_c_program_replays_itself(cli, checkpoint_path):
    made = ("-m", checkpoint_path, "--context-length", 6, "--return-scale", 100)
    Path("out").mkdir()
    assert cli("c", *made, "-o", "out/tiny.c", "--no-validate")[0] == 0
    code, out, err = cli("golden", "out/tiny.c", *made, "--c-test")
    assert code == 0, err
    assert "wrote tiny_test.c" in out
    (command,) = (line.split() for line in out.splitlines() if line.startswith("  cc "))
    subprocess.run(command, check=True)
    done = subprocess.run(["./tiny_test"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("tiny_test: 40 steps"), done.stdout
    before = Path("tiny_test.c").read_bytes()
    assert cli("golden", "out/tiny.c", *made, "--c-test")[0] == 0, "it replaces its own file"
    assert Path("tiny_test.c").read_bytes() == before


@pytest.mark.parametrize(
    ("given", "message"),
    (
        (("{step}", "--c-test"), "--c-test is for a policy in C; make one with `dt-export c"),
        (("policy.c", "--c-test", "-o", "test.json"), "--output test.json: expected a file ending"),
        (("policy.c", "--c-test", "--replay", "{recording}"), "--c-test is for a new recording"),
    ),
)
def test_a_c_program_is_for_a_policy_in_c(given, message, cli, step_file):
    Path("g.json").write_text("{}")
    places = {"step": step_file, "recording": "g.json"}
    code, _, err = cli("golden", *(str(word).format(**places) for word in given))
    assert code == 2 and message in err, err
