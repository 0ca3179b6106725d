"""`dt-export c`, and what the other commands do with its files."""

from pathlib import Path

import pytest

from dt_export.targets.c import build


@pytest.fixture
def tiny(checkpoint_path):
    """What the tiny checkpoint needs to be told."""
    return ("--model", checkpoint_path, "--context-length", 6, "--return-scale", 100)


def test_from_the_checkpoint_to_a_replayed_episode(cli, tiny):
    code, out, err = cli("c", *tiny)
    assert code == 0, err
    assert "wrote tiny.c" in out and "and tiny.h, its header" in out
    assert "equal to eager PyTorch" in out and "dt-export run tiny.c --env ENV" in out
    build.shared_library(Path("tiny.c"), Path(f"tiny{build.LIBRARY}"))
    for file in ("tiny.c", f"tiny{build.LIBRARY}"):
        code, out, err = cli("validate", file, *tiny)
        assert code == 0 and "equal to eager PyTorch" in out, err
        code, out, _ = cli("inspect", file)
        assert code == 0 and "operators: none (compiled C)" in out
    code, out, err = cli("golden", "tiny.c", *tiny)
    assert code == 0 and "2 environments, 4 slots" in out, err
    for file in ("tiny.c", f"tiny{build.LIBRARY}"):
        code, out, err = cli("golden", file, "--replay", "tiny.golden.json")
        assert code == 0 and "equal to the recording" in out, err
    assert cli("c", *tiny, "--no-validate")[0] == 0  # its own files are replaced


def test_the_precision_is_in_the_name(cli, tiny):
    for precision in ("bf16", "int8"):
        code, out, err = cli("c", *tiny, "--precision", precision, "--episodes", 0)
        assert code == 0 and f"wrote tiny_{precision}.c" in out, err
        assert f"dt-export validate tiny_{precision}.c" in out and f"--precision {precision}" in out


def test_files_of_others_are_not_replaced(cli, tiny):
    for name in ("tiny.c", "tiny.h", "numbers.bin"):
        Path(name).write_text("mine")
        code, _, err = cli("c", *tiny, "--weights", "numbers.bin", "--no-validate")
        assert code == 2 and f"{name} exists, and dt-export did not write it" in err
        assert Path(name).read_text() == "mine"
        Path(name).unlink()
    assert cli("c", *tiny, "--weights", "numbers.bin", "--no-validate")[0] == 0
    assert cli("c", *tiny, "--weights", "numbers.bin", "--no-validate")[0] == 0


@pytest.mark.parametrize(
    ("command", "said"),
    (
        (("c", "--slots", "30"), "--slots is 30, expected at most K, which is 6"),
        (("c", "--prefix", "4x"), "--prefix is '4x'"),
        (("c", "--graph", "policy"), "No such option"),
        (("c", "--precision", "fp16"), "'fp32', 'bf16', 'int8'"),
        (("c", "-o", "policy.onnx"), "expected a file ending in .c"),
        (("c", "--activation-bits", "12", "--precision", "int8"), "expected 8 or 16"),
        (("onnx", "--precision", "bf16"), "'fp32', 'fp16', 'int8'"),
    ),
)
def test_mistakes_are_one_message(cli, tiny, command, said):
    code, out, err = cli(*command, *tiny)
    assert code == 2 and said in err and "Traceback" not in out + err
    assert not list(Path().iterdir())


@pytest.mark.parametrize("name", ("policy.so", "policy.c"))
def test_a_broken_file_is_one_message(cli, name, tiny):
    Path(name).write_bytes(b"\x7fELF or something like it")
    for command in (("run", name, "--env", "Hopper-v5"), ("validate", name), ("inspect", name)):
        code, out, err = cli(*command)
        assert code == 2 and name in err and "Traceback" not in out + err


def test_running_a_policy(cli):
    code, _, err = cli("c", "--model", "hopper", "--slots", 1, "--no-validate")
    assert code == 0, err
    code, out, err = cli("run", "hopper.c", "--env", "Hopper-v5", "--episodes", 1, "--seed", 0)
    assert code == 0 and "mean return" in out and "on cpu" in out, err
    code, _, err = cli("run", "hopper.c", "--slots", 2)
    assert code == 2 and "slots is 2, and the file was made for 1 slots" in err
    code, _, err = cli("run", "hopper.c", "--threads", 4)
    assert code == 2 and "--threads is 4, and a compiled policy runs in one thread" in err
    code, _, err = cli("run", "hopper.c", "--provider", "cuda")
    assert code == 2 and "--provider is cuda, and a compiled policy runs on the CPU" in err
