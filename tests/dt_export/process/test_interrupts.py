"""Ctrl-C and termination at any moment: one line, an exit code, and nothing left behind.

``INTERRUPTS=60 pytest tests/dt_export/process/test_interrupts.py`` tries more moments.
"""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

MOMENTS = int(os.environ.get("INTERRUPTS", "4"))
ENDS = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated")}
pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")


def signals_as_usual():
    """A test run in the background of a shell has SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def export(checkpoint_path, folder, **options):
    """Start the export of a tiny checkpoint; its temporary files have a folder of their own."""
    (folder / "tmp").mkdir(parents=True)
    (folder / "out").mkdir()
    command = [sys.executable, "-m", "dt_export", "onnx", "--model", str(checkpoint_path)]
    command += ["--context-length", "3", "--return-scale", "10", "--format", "ort"]
    return subprocess.Popen(
        command,
        cwd=folder / "out",
        env=os.environ | {"TMPDIR": str(folder / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=signals_as_usual,
        **options,
    )


def ran(program, **options):
    """Run Python that sends signals to its own process."""
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=signals_as_usual,
        **options,
    )


def wait_until_caught(process):
    """Until Python itself has started and dt-export looks after SIGTERM."""
    bit = 1 << (signal.SIGTERM - 1)
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
        if int(caught, 16) & bit:
            return
        time.sleep(0.005)


def files(folder):
    """The names of all files, but for one that ONNX Runtime puts where temporary files are."""
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and p.name != ".ses")


@pytest.fixture(scope="module")
def undisturbed(checkpoint_path, tmp_path_factory):
    """(seconds that an export takes once it has begun, the names of what it writes)."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    process = export(checkpoint_path, folder)
    wait_until_caught(process)
    begin = time.monotonic()
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    return time.monotonic() - begin, files(folder)


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_a_signal_at_any_moment(checkpoint_path, undisturbed, tmp_path, moment):
    seconds, complete = undisturbed
    number = (signal.SIGINT, signal.SIGTERM)[moment % 2]
    delay = seconds * (moment + random.random()) / MOMENTS
    process = export(checkpoint_path, tmp_path / "run")
    wait_until_caught(process)
    time.sleep(delay)
    process.send_signal(number)
    _, err = process.communicate(timeout=300)
    left, what = files(tmp_path), f"{number.name} after {delay:.3f} of {seconds:.1f} s:\n{err}"
    print(f"{number.name} {delay:.3f} -> {process.returncode}, {len(left)} files")
    if process.returncode == 0:  # it was done already
        assert left == complete and not err, what
        return
    code, line = ENDS[number]
    assert process.returncode == code, what
    assert err == f"{line}\n", what
    assert left in ([], complete), what  # all of it, where it had been given its name
    folders = [path for path in (tmp_path / "run").rglob("*") if path.is_dir()]
    assert {path.name for path in folders} == {"tmp", "out"}, what


def test_a_second_one_ends_it_at_once_and_still_leaves_nothing(checkpoint_path, tmp_path):
    process = export(checkpoint_path, tmp_path / "run")
    while process.poll() is None and not files(tmp_path):  # its temporary file is there
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130 and err == "interrupted\n"
    assert files(tmp_path) == []


def test_an_ignored_signal_stays_ignored():
    """As under nohup, or in the background of a shell."""
    program = """
import os, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
from dt_export.process import interrupts
with interrupts.reported():
    os.kill(os.getpid(), signal.SIGINT)
print("went on")
"""
    done = ran(program)
    assert (done.returncode, done.stdout) == (0, "went on\n")


def test_python_does_not_end_by_the_signal_where_code_made_of_text_met_it():
    """It would, and a program that asks for the exit code would see none."""
    program = """
import os, signal
from dt_export.process import interrupts
with interrupts.reported(leave=True):
    exec("os.kill(os.getpid(), signal.SIGINT)")
"""
    done = ran(program)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_an_interrupt_that_was_reported_is_over(tmp_path):
    """In a process that goes on, whatever is written next is written."""
    program = """
import os, signal
from pathlib import Path
from dt_export.files.writing import Output, atomic
from dt_export.process import interrupts
try:
    with interrupts.reported():
        os.kill(os.getpid(), signal.SIGINT)
        interrupts.check()
except SystemExit as error:
    with atomic(Output(Path("out.txt"), "--json", lambda path: True)) as temporary:
        temporary.write_text(str(error.code))
"""
    done = ran(program, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "interrupted\n")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("out.txt", "130")]


@pytest.mark.parametrize("make", ("open", "mkdir"))
def test_a_second_one_removes_what_was_made_just_now(make, tmp_path):
    """Both come when a temporary file or folder exists and nothing else has happened yet."""
    program = f"""
import os, signal
from pathlib import Path
from dt_export.process import interrupts
make = os.{make}
def interrupted(*args, **options):
    made = make(*args, **options)
    with interrupts.held():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    return made
os.{make} = interrupted
file, folder = interrupts.temporary_file, interrupts.temporary_folder
with interrupts.reported(leave=True):
    with file(Path(), "p", "") if {make == "open"} else folder(Path()):
        pass
"""
    done = ran(program, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
    assert list(tmp_path.iterdir()) == []


SWALLOWED = """
import os, signal
from pathlib import Path
from dt_export.process import interrupts
from dt_export.files import ours, writing
def body():
    output = writing.Output(Path("report.json"), "--json", ours.is_report)
    with writing.atomic(output) as temporary:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except BaseException as error:
            {then}
        temporary.write_text("{{}}")
with interrupts.reported():
    body()
"""


@pytest.mark.parametrize(
    "then",
    ("pass", "raise RuntimeError('an exporter took it for a failure of its own') from None"),
)
def test_an_interrupt_that_a_library_swallows_or_wraps(tmp_path, then):
    done = ran(SWALLOWED.format(then=then), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", ("app", "entry"))
def test_handlers_are_the_caller_s_again(module, monkeypatch):
    from dt_export.cli import app, entry

    monkeypatch.setattr(sys, "argv", ["dt-export", "--version"])
    before = [signal.getsignal(number) for number in ENDS]
    with pytest.raises(SystemExit):
        {"app": app, "entry": entry}[module].main()
    assert [signal.getsignal(number) for number in ENDS] == before


def test_a_file_larger_than_the_system_allows_is_one_message(checkpoint_path, tmp_path):
    """As with a full disk, or `ulimit -f`."""

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    command = [sys.executable, "-m", "dt_export", "torchscript", "--model", str(checkpoint_path)]
    done = subprocess.run(
        [*command, "--no-validate"], cwd=tmp_path, capture_output=True, text=True,
        preexec_fn=limited,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "error: tiny.pt: File too large\n"
    assert files(tmp_path) == []
