"""MuJoCo off-screen, in processes of their own: a renderer is chosen once per process."""

import os
import subprocess
import sys

import pytest

from dt_export.recording.offscreen import INSTALL, RENDERERS, _works

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


def in_a_process(code, **environment):
    inherited = {k: v for k, v in os.environ.items() if k not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    return subprocess.run(
        [sys.executable, "-c", code], env=inherited | environment, capture_output=True, text=True
    )


@pytest.mark.skipif(
    not any(_works(name) for name in RENDERERS), reason=f"nothing renders here: {INSTALL}"
)
def test_the_camera_follows_the_robot():
    """Without a screen, and without MUJOCO_GL."""
    done = in_a_process(HOPPER, DISPLAY="")
    assert done.returncode == 0, done.stderr
    shape, before, after = done.stdout.replace("(480, 480, 3)", "square").split()
    assert shape == "square"
    assert int(before) > 1000 and int(after) > 1000


def test_a_renderer_that_does_not_work_is_one_message_that_says_what_to_install():
    done = in_a_process(HOPPER, MUJOCO_GL="glfw", DISPLAY="", WAYLAND_DISPLAY="")
    assert done.stdout.startswith("UsageError --record: Hopper-v5 cannot render: ")
    assert "apt install libegl1" in done.stdout and "MUJOCO_GL" in done.stdout
