"""Several processes play the closed loop: the same results, and none of them can hang it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dt_export.errors import UsageError
from dt_export.facts import Overrides
from dt_export.targets import open_artifact
from dt_export.validation import workers
from dt_export.validation.episodes import FromFiles, close_loop
from dt_export.validation.workers import Players, Task

pytestmark = pytest.mark.gate

HERE = "environments_made_here"
FLAGS = Overrides(context_length=6, return_scale=100.0, target_return=250.0)
PROGRAM = """
from pathlib import Path
from dt_export.process import interrupts

def main():
    from dt_export.facts import Overrides
    from dt_export.validation.episodes import FromFiles
    from dt_export.validation.workers import Players, Task
    flags = Overrides(context_length=6, return_scale=100.0)
    endless = "environments_made_here:Endless"
    with Players(FromFiles(Path({path!r}), {model!r}, flags, "cpu", endless), 1) as players:
        players.play([Task(0, 1.0)], lambda: None)

with interrupts.reported(leave=True):
    main()
"""


def test_results_do_not_depend_on_the_number_of_processes(policy_file, checkpoint, checkpoint_path):
    """Nor on one that is killed: its pair has failed, and the others are played."""

    def played(count, environment, episodes):
        counts = []
        loop = close_loop(
            open_artifact(policy_file), checkpoint, artifact=policy_file,
            model=str(checkpoint_path), overrides=FLAGS, environment=f"{HERE}:{environment}",
            workers=count, episodes=episodes, on_episode=lambda *count: counts.append(count),
        )  # fmt: skip
        assert counts == [(done, episodes) for done in range(1, episodes + 1)]
        return loop

    alone = played(1, "Robot", 4)
    killed = played(2, "Killed", 4)
    assert killed.pairs[0] == alone.pairs[0] and killed.pairs[2:] == alone.pairs[2:]
    assert killed.traces == alone.traces
    assert killed.pairs[1].problem == "the process that played it was ended by SIGKILL"
    assert not killed.passed and len(killed.problems) == 1


class Dies:
    """A recipe whose processes end before they play anything."""

    def open(self):
        os._exit(7)


def test_processes_that_die_at_once_are_not_begun_for_ever(monkeypatch):
    monkeypatch.setattr(workers, "FALSE_STARTS", 1)
    with Players(Dies(), 1) as players:
        played = players.play([Task(seed, 1.0) for seed in range(3)], lambda: None)
    problems = [result.pair.problem for result in played]
    assert problems[0] == "the process that played it ended with exit code 7"
    assert problems[1:] == ["the processes that play it end at once"] * 2


def test_what_a_process_cannot_open_is_a_mistake(policy_file, tmp_path):
    recipe = FromFiles(policy_file, str(tmp_path / "gone"), FLAGS, "cpu", f"{HERE}:Robot")
    with Players(recipe, 1) as players, pytest.raises(UsageError, match="gone"):
        players.play([Task(0, 1.0)], lambda: None)


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc")
@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGKILL))
def test_no_process_outlives_the_command(policy_file, checkpoint_path, tmp_path, number):
    """Ctrl-C reaches all processes, as from a terminal; a killed command tells nobody."""
    program = PROGRAM.format(path=str(policy_file), model=str(checkpoint_path))
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not (playing := list(tmp_path.glob("*.playing"))) and process.poll() is None:
        time.sleep(0.05)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.kill()
    error = process.communicate()[1]
    assert playing, error
    if number == signal.SIGINT:
        assert process.returncode == 130 and error == "interrupted\n"
    else:  # they notice by themselves
        while any(Path(f"/proc/{path.stem}").exists() for path in playing):
            time.sleep(0.05)
    assert not any(Path(f"/proc/{path.stem}").exists() for path in playing)
