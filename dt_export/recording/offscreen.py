"""Environments that render to arrays, on machines without a screen."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from dt_runtime.spaces import is_vector

from dt_export.errors import UsageError
from dt_export.process.terminal import one_line

MODE = "rgb_array"
RENDERER = "MUJOCO_GL"  # MuJoCo reads it, and so does Gymnasium
RENDERERS = ("egl", "osmesa")  # EGL first: it uses a GPU where there is one
PROBE = "import mujoco; mujoco.GLContext(16, 16).make_current()"
TRACKING = 1  # MuJoCo's mjCAMERA_TRACKING
SECONDS = 60  # for the probe: a driver may hang
INSTALL = (
    "MuJoCo needs EGL or OSMesa to render without a screen: `apt install libegl1 libgl1`, or "
    "`apt install libosmesa6`. MUJOCO_GL=egl or MUJOCO_GL=osmesa chooses one"
)


def choose_renderer() -> str | None:
    """Let MuJoCo render off-screen in this process. Your own MUJOCO_GL stays as it is.

    Returns:
        What MuJoCo will use: your choice, ``egl``, ``osmesa``, or None where there is neither, or
        no MuJoCo, or where it needs none of them.
    """
    chosen = os.environ.get(RENDERER)
    if chosen:
        return chosen
    if not sys.platform.startswith("linux") or find_spec("mujoco") is None:
        return None
    for name in RENDERERS:
        if _works(name):
            os.environ[RENDERER] = name
            return name
    return None


def _works(renderer: str) -> bool:
    """Whether this renderer makes a context. In a process of its own: a driver may crash."""
    environment = os.environ | {RENDERER: renderer, "PYOPENGL_PLATFORM": renderer}
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROBE], env=environment, capture_output=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def make_rendering(make: Callable[[str], Any], name: str) -> Any:
    """An environment that renders to arrays, reset once and tried out.

    Args:
        make: makes the environment in a render mode, such as
            ``lambda mode: make_environment("Hopper-v5", render_mode=mode)``.
        name: of the environment, for messages.

    Raises:
        UsageError: it cannot be made, it is a vector environment, or it does not render.
    """
    yours = os.environ.get(RENDERER)
    choose_renderer()
    try:
        env = make(MODE)
    except UsageError as error:  # MuJoCo looks for the renderer as soon as it is imported
        if yours and find_spec("mujoco") is not None and not _works(yours):
            raise UsageError(f"{error}. {RENDERER} is {one_line(yours)}: {INSTALL}") from error
        raise
    try:
        if is_vector(env):
            raise UsageError(
                f"--record: {one_line(name)} is a vector environment; record a single one"
            )
        modes = (getattr(env, "metadata", None) or {}).get("render_modes", ())
        if getattr(env, "render_mode", MODE) != MODE:
            offered = ", ".join(map(str, modes)) or "none"
            raise UsageError(
                f"--record: {one_line(name)} cannot render to arrays: it needs render_mode "
                f"{MODE!r}, and its render modes are: {offered}"
            )
        _follow(env)
        env.reset()
        picture(env, name)
    except BaseException:
        env.close()
        raise
    return env


def check_rendering(make: Callable[[str], Any], name: str) -> None:
    """Ask whether an environment can be recorded, before minutes of playing.

    Raises:
        UsageError: see ``make_rendering``.
    """
    make_rendering(make, name).close()


def picture(env: Any, name: str) -> np.ndarray:
    """What the environment looks like now: [H, W, 3], uint8.

    Raises:
        UsageError: it cannot render, or gives something else.
    """
    try:
        seen = env.render()
    except Exception as error:  # drivers and environments raise anything
        what = one_line(f"--record: {name} cannot render: {type(error).__name__}: {error}")
        hint = f". {INSTALL}" if _is_mujoco(env) else ""
        raise UsageError(what + hint) from error
    frame = np.asarray(seen)
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or not frame.size:
        raise UsageError(
            f"--record: {one_line(name)} renders {type(seen).__name__} of shape {frame.shape} and "
            f"type {frame.dtype}, expected uint8 of [height, width, 3]"
        )
    return frame


def _follow(env: Any) -> None:
    """Let the camera follow the body that a Gymnasium environment of MuJoCo names.

    Gymnasium 1.4 has the body, but keeps the camera where it is, and the robot walks out of view.
    """
    renderer: Any = getattr(getattr(env, "unwrapped", env), "mujoco_renderer", None)
    config = getattr(renderer, "default_cam_config", None) or {}
    if "trackbodyid" in config and getattr(renderer, "camera_id", None) == -1:
        renderer.default_cam_config = {**config, "type": TRACKING}
        renderer.camera_id = None  # as it is configured


def _is_mujoco(env: Any) -> bool:
    kinds = type(getattr(env, "unwrapped", env)).__mro__
    return any("mujoco" in kind.__module__ for kind in kinds)
