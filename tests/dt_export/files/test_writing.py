"""No command writes on what it reads, nor, unasked, on a file that dt-export did not write."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from oracles import kzl

from dt_export.checkpoints import load
from dt_export.errors import UsageError
from dt_export.exporting import export
from dt_export.files.ours import OURS, is_artifact, is_listing, is_report
from dt_export.files.writing import Output, atomic, distinct, files_at, together
from dt_export.targets.onnx import ort


def links(tmp_path, target):
    """Other names of a file: a symbolic link and a hard one."""
    soft, hard = tmp_path / f"soft{target.suffix}", tmp_path / f"hard{target.suffix}"
    soft.symlink_to(target)
    os.link(target, hard)
    return target, soft, hard


def test_the_default_name_is_the_checkpoint_s_own(cli, tmp_path):
    """`dt-export torchscript --model model.pt`, in the folder of model.pt."""
    path = tmp_path / "model.pt"
    options = kzl.Options(positions=8)
    weights = kzl.state_dict(np.random.default_rng(0), options)
    kzl.save(tmp_path / "made", weights, options).rename(path)
    before = path.read_bytes()
    for force in ((), ("--force",)):
        code, _, err = cli("torchscript", "--model", "model.pt", "--no-validate", *force)
        assert code == 2 and "what this command reads" in err and "--output" in err
        assert path.read_bytes() == before


@pytest.mark.parametrize("force", ((), ("--force",)))
@pytest.mark.parametrize("which", range(3))
def test_validate_does_not_write_on_its_artifact(
    cli, policy_file, checkpoint_path, tmp_path, which, force
):
    own = tmp_path / "own.onnx"
    shutil.copy(policy_file, own)
    before, to = own.read_bytes(), links(tmp_path, own)[which]
    code, _, err = cli("validate", own, "-m", checkpoint_path, "--json", to, *force)
    assert code == 2 and "what this command reads" in err and str(own) in err
    assert own.read_bytes() == before


@pytest.mark.parametrize("name", ("model.safetensors", "config.json", "state_mean.npy"))
@pytest.mark.parametrize("command", ("validate", "bench"))
def test_no_file_of_the_checkpoint_is_written(
    cli, policy_file, checkpoint_path, tmp_path, name, command
):
    own = tmp_path / "ck"
    shutil.copytree(checkpoint_path, own)
    before = (own / name).read_bytes()
    code, _, err = cli(command, policy_file, "-m", own, "--json", own / name, "--force")
    assert code == 2 and "what this command reads" in err
    assert (own / name).read_bytes() == before


def test_nor_is_a_file_made_that_the_checkpoint_would_read(
    cli, policy_file, checkpoint_path, tmp_path
):
    own = tmp_path / "ck"
    shutil.copytree(checkpoint_path, own)
    code, _, err = cli("validate", policy_file, "-m", own, "--json", own / "policy.json")
    assert code == 2 and "what this command reads" in err
    assert not (own / "policy.json").exists()


def test_statistics_are_not_written_on(cli, checkpoint_path, policy_file, tmp_path):
    stats = tmp_path / "stats.json"
    stats.write_text(json.dumps({"state_mean": [0.0] * 5, "state_std": [1.0] * 5}))
    command = ("validate", policy_file, "-m", checkpoint_path, "--stats", stats, "--json", stats)
    assert cli(*command, "--force")[0] == 2
    assert json.loads(stats.read_text())["state_std"]


def test_a_foreign_file_is_replaced_only_by_force(cli, checkpoint_path, tmp_path):
    foreign = tmp_path / "thesis.onnx"
    foreign.write_bytes(b"three years of work")
    command = ("onnx", "-m", checkpoint_path, "-o", foreign, "--no-validate")
    code, _, err = cli(*command)
    assert code == 2 and "did not write it" in err and "--force" in err
    assert foreign.read_bytes() == b"three years of work"
    assert cli(*command, "--force")[0] == 0
    assert is_artifact(foreign)
    assert cli(*command)[0] == 0  # for now it is ours


def test_a_report_is_replaced_by_a_report_alone(cli, policy_file, checkpoint_path, tmp_path):
    command = ("validate", policy_file, "-m", checkpoint_path, "--json")
    assert cli(*command, "r.json")[0] == 0
    assert cli(*command, "r.json")[0] == 0
    assert is_report(tmp_path / "r.json") and json.loads(Path("r.json").read_text())["passed"]
    shutil.copy(policy_file, tmp_path / "other.onnx")  # ours, but no report
    code, _, err = cli(*command, "other.onnx")
    assert code == 2 and "did not write it" in err
    assert is_artifact(tmp_path / "other.onnx")


def test_the_function_protects_as_the_command_does(checkpoint, tmp_path):
    path = tmp_path / "p.onnx"
    path.write_bytes(b"")
    with pytest.raises(UsageError, match="did not write it"):
        export(checkpoint, "onnx", path, validate=False)
    (tmp_path / "w.onnx").symlink_to(checkpoint.path / "model.safetensors")
    with pytest.raises(UsageError, match="what this command reads"):
        export(checkpoint, "onnx", tmp_path / "w.onnx", validate=False, force=True)
    assert export(checkpoint, "onnx", path, validate=False, force=True)[0].size > 1000


def test_a_list_of_operators_beside_is_protected_too(checkpoint, tmp_path):
    path = tmp_path / "p.ort"
    listing = ort.list_path(path)
    listing.write_text("my own notes")
    with pytest.raises(UsageError, match="did not write it"):
        export(checkpoint, "onnx", path, format="ort", validate=False)
    assert listing.read_text() == "my own notes" and not path.exists()
    listing.unlink()
    for _ in range(2):  # and what is ours is replaced
        export(checkpoint, "onnx", path, format="ort", validate=False)
    assert is_listing(listing) and is_artifact(path)


def test_every_artifact_is_known_by_its_bytes(artifacts):
    assert all(is_artifact(path) for path in artifacts.values())


@pytest.mark.parametrize(
    "content",
    (
        b"",
        b"PK\x05\x06" + bytes(18),
        b"PK\x03\x04dt_export",
        b"....ORTM",
        b"\xff" * 100,
        b"\x72\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b'{"producer": "somebody else"}',
        b"[" * 100_000,
    ),
)
def test_what_is_not_ours(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert not any(ours(path) for ours in OURS)


def test_two_outputs_are_two_files(cli, policy_file, checkpoint_path, tmp_path):
    code, _, err = cli(
        "bench", policy_file, "-m", checkpoint_path, "--json", "b.svg", "--plot", "./b.svg"
    )
    assert code == 2 and "are the same file" in err
    (tmp_path / "sub").mkdir()
    a, b = (Output(Path(p), "--json", is_report) for p in ("a.json", "sub/../a.json"))
    with pytest.raises(UsageError, match="are the same file"):
        distinct([a, b])


@pytest.mark.parametrize("place", ("/dev/null", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"))
def test_a_device_is_no_place_for_a_file(cli, policy_file, checkpoint_path, place):
    before = os.lstat(place)
    code, _, err = cli("validate", policy_file, "-m", checkpoint_path, "--json", place, "--force")
    assert code == 2 and "device" in err
    assert os.path.samestat(before, os.lstat(place))


def test_nor_is_a_pipe_or_a_folder(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, words in (("pipe", "pipe"), ("folder", "is a folder"), ("no/x", "does not exist")):
        with pytest.raises(UsageError, match=words):
            Output(tmp_path / name, "--json", is_report, force=True).check()


def test_a_file_that_came_meanwhile_is_kept(tmp_path):
    output = Output(tmp_path / "r.json", "--json", is_report)
    with pytest.raises(UsageError, match="did not write it"), atomic(output) as temporary:
        temporary.write_text("{}")
        output.path.write_text("somebody else was faster")
    assert output.path.read_text() == "somebody else was faster"
    assert list(tmp_path.iterdir()) == [output.path]


def test_a_folder_that_vanishes_meanwhile_is_one_message(cli, tmp_path, policy_file,
                                                         checkpoint_path, monkeypatch):  # fmt: skip
    folder = tmp_path / "gone"
    folder.mkdir()

    def write(text, path, **options):
        with atomic(Output(path, "--json", is_report)) as temporary:
            shutil.rmtree(folder)
            temporary.write_text("{}")

    monkeypatch.setattr("dt_export.files.reports.write_report", write)
    code, _, err = cli("validate", policy_file, "-m", checkpoint_path, "--json", folder / "r.json")
    assert code == 2 and "No such file or directory" in err and "Traceback" not in err


def test_an_export_into_its_checkpoint_s_own_folder_can_be_repeated(checkpoint_path, tmp_path):
    own = tmp_path / "ck"
    shutil.copytree(checkpoint_path, own)
    artifact = own / "p.onnx"
    for _ in range(2):
        export(load(str(own)), "onnx", artifact, validate=False)
    assert artifact not in files_at(own) and own / "config.json" in files_at(own)


def test_of_several_files_all_appear_or_none(tmp_path, monkeypatch):
    """A companion that was moved is what it was before, if the file itself cannot move."""
    first, second, third = (tmp_path / name for name in ("a.bin", "b.bin", "c.bin"))
    second.write_text("an earlier one")
    outputs = [Output(path, "--output", lambda path: True) for path in (first, second, third)]
    replace = Path.replace

    def full(self, target):
        if Path(target) == first:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"), together(outputs) as folder:
        for path in (first, second, third):
            (folder / path.name).write_text("new")
    assert second.read_text() == "an earlier one"
    assert [path.name for path in tmp_path.iterdir()] == ["b.bin"]
    monkeypatch.undo()
    with together(outputs) as folder:
        for path in (first, second, third):
            (folder / path.name).write_text("new")
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["new"] * 3


@pytest.mark.parametrize(
    ("content", "ours"),
    (
        (b"/* dt-export 0.1.0: hopper */\n", True),
        (b"/* something else */\n", False),
        (b"dt_export weights\0\0\0", True),
        (b"dt_export weightless", False),
        (b"\x7fELF..dt_export contract\n{}\0", True),
        (b"\x7fELF" + bytes(60), False),
        (b"MZ" + bytes(60) + b"dt_export contract\n{}\0", True),
        (b"\xcf\xfa\xed\xfe" + b"dt_export contract\n{}\0", True),
        (b"\0asm" + b"dt_export contract\n{}\0", True),
    ),
    ids=str,
)
def test_compiled_policies_are_told_by_their_bytes(content, ours, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert is_artifact(path) is ours
