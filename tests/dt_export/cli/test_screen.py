"""What reaches the terminal, and numbers that no command can use."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from checkpoints_made_here import save_hugging_face

from dt_export.cli.app import main
from dt_export.cli.options import MOST_THREADS
from dt_export.process.terminal import PlainConsole, printable

HOSTILE = "a[/a][bold]b[/bold] :smile: \x1b[31mred\x1b]0;title\x07 \x9b2J \x7f \u202egnp.exe"
SPELLED = r"a[/a][bold]b[/bold] :smile: \x1b[31mred\x1b]0;title\x07 \x9b2J \x7f \u202egnp.exe"


def controls(text):
    return sorted({c for c in text if printable(c) != c})


def test_control_characters_are_spelled_out():
    assert printable(HOSTILE) == SPELLED
    assert printable("two\nlines\tof ü and ±") == "two\nlines\tof ü and ±"


@pytest.mark.parametrize("how", ("string", "text", "table"))
def test_a_console_takes_strings_literally(capsys, how):
    from rich.table import Table
    from rich.text import Text

    shown = HOSTILE
    if how == "text":
        shown = Text(HOSTILE)
    elif how == "table":
        shown = Table("[/a]")
        shown.add_row(HOSTILE)
    PlainConsole(width=300).print(shown)
    out = capsys.readouterr().out
    assert not controls(out)
    assert "a[/a][bold]b[/bold] :smile: \\x1b[31mred" in out


@pytest.mark.parametrize(
    "command",
    (
        ("inspect", "{}.onnx"),
        ("validate", "{}.onnx"),
        ("run", "{}.onnx"),
        ("bench", "{}.onnx"),
        ("onnx", "--model", "{}"),
        ("onnx", "--model", "{ck}", "--stats", "{}.npz"),
        ("onnx", "--model", "{ck}", "-o", "{}/x.onnx"),
        ("onnx", "--model", "x", "{}"),
        ("onnx", "--{}"),
        ("onnx", "--graph", "{}"),
        ("{}",),
        ("bench", "--sides", "{}"),
    ),
)
def test_what_is_typed_is_shown_literally(cli, checkpoint_path, command):
    typed = HOSTILE.replace("/", "") if "o" in command else HOSTILE
    code, out, err = cli(*(p.replace("{ck}", str(checkpoint_path)).replace("{}", typed)
                           for p in command))  # fmt: skip
    assert code == 2 and not controls(out + err)
    assert "Traceback" not in err and r"\x1b[31mred" in err and "[bold]b[" in err


def test_what_an_artifact_says_is_shown_literally(cli, policy_file, tmp_path):
    model = onnx.load(policy_file)
    (entry,) = model.metadata_props
    for old in ('"environment": null', '"model": "tiny"'):
        key = old.split(":")[0]
        assert old in entry.value
        entry.value = entry.value.replace(old, f'{key}: "[/a] :smile: [red]"')
    path = "[a]\x1b[1m.onnx"  # in the folder that the command runs in
    onnx.save(model, tmp_path / path)
    code, out, _ = cli("inspect", path)
    assert code == 0 and not controls(out)
    assert out.count("[/a] :smile: [red]") == 2 and r"[a]\x1b[1m.onnx" in out
    code, out, err = cli("validate", path)
    assert code == 2 and not controls(out + err) and "[/a] :smile: [red]" in err


def test_a_contract_with_an_escape_is_refused_and_shown_harmlessly(cli, policy_file, tmp_path):
    model = onnx.load(policy_file)
    (entry,) = model.metadata_props
    entry.value = entry.value.replace('"model": "tiny"', '"model": "\\u001b[31m"')
    onnx.save(model, tmp_path / "red.onnx")
    for command in ("inspect", "validate"):
        code, out, err = cli(command, "red.onnx")
        assert code == 2 and not controls(out + err) and "source.model" in err


@pytest.mark.parametrize("name", ("a b.onnx", "$(touch owned).onnx", "-x.onnx", "it's;.onnx"))
def test_the_next_commands_can_be_pasted(cli, checkpoint_path, tmp_path, name):
    folder = tmp_path / "a $(touch owned) checkpoint"
    folder.symlink_to(checkpoint_path)
    code, out, err = cli("onnx", "-m", folder, "--no-validate", f"--output={name}")
    assert code == 0, err
    commands = [line.strip() for line in out.splitlines() if line.startswith("  dt-export")]
    script = "dt-export() { printf '%s\\n' \"$@\"; }\n" + "\n".join(commands)
    done = subprocess.run(["sh", "-c", script.replace("dt-export", "dt_export")], cwd=tmp_path,
                          capture_output=True, text=True, check=True)  # fmt: skip
    words = done.stdout.splitlines()
    file = f"./{name}" if name.startswith("-") else name
    assert words.count(file) == 3 and words.count(str(folder)) == 1
    assert not (tmp_path / "owned").exists()


def test_a_file_s_environment_is_quoted(cli, tmp_path):
    import json

    folder = save_hugging_face(tmp_path / "ck")
    sidecar = {"environment": "x; touch owned", "target_returns": [1.0]}
    (folder / "policy.json").write_text(json.dumps(sidecar))
    code, out, _ = cli("onnx", "-m", folder, "--no-validate")
    assert code == 0 and "--env 'x; touch owned'" in out


@pytest.mark.parametrize(
    "command",
    (
        "validate {policy} -m {ck} --seed -1",
        "validate {policy} -m {ck} --seed 99999999999999999999999",
        "run {policy} --env Hopper-v5 --seed -1",
        "run {step} --env Hopper-v5 --slots ²",
        "run {step} --env Hopper-v5 --slots 0",
        "run {step} --env Hopper-v5 --slots -3",
        "run {step} --env Hopper-v5 --slots 1000000000",
        "run {step} --env Hopper-v5 --slots 99999999999999999999999",
        "run {policy} --env Hopper-v5 --threads -1",
        "run {policy} --env Hopper-v5 --threads 5000",
        "run {policy} --env Hopper-v5 --episodes 99999999999",
        "run {policy} --env Hopper-v5 --target-return nan",
        "run {policy} --env Hopper-v5 --target-return -inf",
        "run {policy} --env Hopper-v5 --target-return 1e39",
        "onnx -m {ck} --static-batch 999999999",
        "onnx -m {ck} --static-batch 999999999 --graph step",
        "onnx -m {ck} --static-batch -1",
        "onnx -m {ck} --static-length 0",
        "onnx -m {ck} --static-length 999999999",
        "onnx -m {ck} --opset -1",
        "onnx -m {ck} --episodes -1",
        "onnx -m {ck} --target-return nan",
        "onnx -m {ck} --return-scale nan",
        "onnx -m {ck} --return-scale inf",
        "onnx -m {ck} --return-scale 0",
        "onnx -m {ck} --return-scale -5",
        "bench --threads 0",
        "bench --threads 5000",
        "bench --steps 99999999999",
        "bench --batch 0",
        "bench --batch 999999999",
        "bench --primed -1",
        "bench --rate inf",
        "bench --rate nan",
        "bench --rate 1e300",
        "bench --rate 1 --seconds nan",
        "bench --rate 1 --seconds 1e300",
        "bench --rate 1e6 --seconds 1e6",
    ),
)
def test_numbers_out_of_range_are_a_mistake(cli, policy_file, step_file, checkpoint_path, command):
    """One message that names the option, at once."""
    places = {"policy": policy_file, "step": step_file, "ck": checkpoint_path}
    words = command.format(**places).split()
    code, out, err = cli(*words)
    assert code == 2 and "Traceback" not in out + err
    options = [word for word in words if word.startswith("--") and word != "--env"]
    assert any(option.lstrip("-") in err for option in options), err


def test_threads_that_this_machine_has_are_allowed():
    assert max(64, 4 * os.cpu_count()) <= MOST_THREADS


def run(*args, **options):
    command = [sys.executable, "-m", "dt_export", *map(str, args)]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, **options)


def test_an_ascii_terminal(policy_file, tmp_path):
    path = tmp_path / "größe ±.onnx"
    path.write_bytes(policy_file.read_bytes())
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = run("inspect", path, stdout=subprocess.PIPE, env=environment)
    assert done.returncode == 0, done.stderr
    assert r"gr\xf6\xdfe +-.onnx" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "command", (("models",), ("--version",), ("--help",), ("inspect", "{}", "--json"))
)
def test_a_full_disk_behind_the_output(policy_file, command):
    with Path("/dev/full").open("w") as full:
        done = run(*(part.format(policy_file) for part in command), stdout=full)
    assert done.returncode == 2
    assert done.stderr == f"error: {os.strerror(errno.ENOSPC)}\n"


@pytest.mark.parametrize("command", ("models", "--help"))
def test_a_reader_that_has_seen_enough(command):
    read, write = os.pipe()
    os.close(read)
    done = run(command, stdout=write)
    os.close(write)
    assert done.returncode == 141 and done.stderr == ""


@pytest.mark.parametrize("command", ("inspect", "validate", "onnx"))
def test_what_another_user_may_not_read(policy_file, command, tmp_path):
    """In a child that gives up root's rights, if it has them, when it has imported everything."""
    folder = tmp_path / "closed"
    folder.mkdir()
    path = folder / "p.onnx"
    path.write_bytes(policy_file.read_bytes())
    path.chmod(0o000)
    program = f"""
import os
from dt_export.cli.app import main
arguments = {["onnx", "--model"] if command == "onnx" else [command]!r}
try:
    main([*arguments, "/no/such/file.onnx"])  # imports what nobody could not
except SystemExit:
    pass
print("now", file=__import__("sys").stderr)
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
main([*arguments, {str(path)!r}])
"""
    for mode in (0o755, 0o000):  # the file, and the folder
        folder.chmod(mode)
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, cwd="/"
        )
        assert done.returncode == 2, done.stderr
        message = done.stderr.split("now\n")[1]
        assert message.startswith("error: ") and str(path) in message


def test_a_bug_of_ours_shows_its_traceback(monkeypatch):
    def broken():
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("dt_export.cli.models.preset_rows", broken)
    with pytest.raises(ZeroDivisionError):
        main(["models"])


def test_tracebacks_of_mistakes_can_be_had(cli, tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"noise")
    assert "Traceback" not in cli("inspect", "x.onnx")[2]
    code, _, err = cli("--traceback", "inspect", "x.onnx")
    assert code == 2 and "Traceback" in err and "ContractError" in err
    assert err.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in cli("inspect", "x.onnx")[2]
    assert "--traceback" not in cli("--help")[1]
