"""MuJoCo off-screen, in processes of their own: a renderer is chosen once per process."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dt_export import export, load
from dt_export.recording.offscreen import INSTALL, RENDERERS, _works

pytestmark = pytest.mark.gate

HOPPER = """
import numpy as np
from dt_export.errors import UsageError
from dt_export.evaluation.environment import make_environment
from dt_export.recording.offscreen import make_rendering, picture

try:
    env = make_rendering(lambda mode: make_environment("Hopper-v5", render_mode=mode), "Hopper-v5")
except UsageError as error:
    print("UsageError", error)
    raise SystemExit
env.reset(seed=0)
first = picture(env, "Hopper-v5")
data = env.unwrapped.data
data.qpos[0] += 40.0  # far along the track
env.unwrapped.set_state(data.qpos, data.qvel)
def robot(frame):  # pixels that are neither floor nor sky: reddish
    red, green, blue = frame.astype(int).transpose(2, 0, 1)
    return int(((red > green + 25) & (red > blue + 40)).sum())
print(first.shape, robot(first), robot(picture(env, "Hopper-v5")))
env.close()
"""


@pytest.fixture(scope="module")
def hopper_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("hopper") / "hopper.onnx"
    return export(load("hopper"), "onnx", path, validate=False)[0].path


def in_a_process(code, **environment):
    inherited = {k: v for k, v in os.environ.items() if k not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    return subprocess.run(
        [sys.executable, "-c", code], env=inherited | environment, capture_output=True, text=True
    )


RENDERS = pytest.mark.skipif(
    not any(_works(name) for name in RENDERERS), reason=f"nothing renders here: {INSTALL}"
)


@RENDERS
def test_the_camera_follows_the_robot():
    """Without a screen, and without MUJOCO_GL."""
    done = in_a_process(HOPPER, DISPLAY="")
    assert done.returncode == 0, done.stderr
    shape, before, after = done.stdout.replace("(480, 480, 3)", "square").split()
    assert shape == "square"
    assert int(before) > 1000 and int(after) > 1000


@pytest.mark.parametrize("renderer", ("glfw", "no_such"))
def test_a_renderer_that_does_not_work_is_one_message_that_says_what_to_install(renderer):
    done = in_a_process(HOPPER, MUJOCO_GL=renderer, DISPLAY="", WAYLAND_DISPLAY="")
    assert done.stdout.startswith("UsageError --") and "Hopper-v5 cannot" in done.stdout
    assert done.stdout.count("apt install libegl1") == 1 and "MUJOCO_GL=egl" in done.stdout


def test_validate_asks_for_the_renderer_before_it_compares_anything(tmp_path, hopper_file):
    """After minutes of playing, the reports would be lost."""
    shutil.copy(hopper_file, tmp_path)
    command = [
        "validate",
        "hopper.onnx",
        "--env",
        "Hopper-v5",
        "--record",
        "a.gif",
        "--json",
        "a.json",
    ]
    code = f"import os, sys; os.chdir({str(tmp_path)!r}); sys.argv[1:] = {command}; "
    done = in_a_process(code + "from dt_export.cli.entry import main; main()", MUJOCO_GL="no_such")
    assert done.returncode == 2 and done.stdout == ""
    assert "apt install libegl1" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["hopper.onnx"]


@RENDERS
def test_ctrl_c_leaves_neither_a_file_nor_ffmpeg(tmp_path, hopper_file):
    shutil.copy(hopper_file, tmp_path)
    command = "run hopper.onnx --target-return 3000 --episodes 1 --record a.mp4"
    process = subprocess.Popen(
        [sys.executable, "-m", "dt_export", *command.split()],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    while process.poll() is None and not (
        list(tmp_path.glob(".a.*.mp4")) and (children := children_of(process.pid))
    ):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130 and said.decode().strip() == "interrupted"
    assert [path.name for path in tmp_path.iterdir()] == ["hopper.onnx"]
    assert not any(Path(f"/proc/{child}").exists() for child in children)


def children_of(parent):
    """The processes that it has started; Linux tells."""
    return [
        int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    ]
