"""Draws docs/images/hopper.gif: the bundled policy, asked for two returns side by side.

The floor of the scene gets large squares, no reflections and no shadows: that keeps the file small.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gymnasium
from dt_runtime import Policy

from dt_export import export, load
from dt_export.recording.filming import Side, record_side_by_side, video_output

IMAGE = Path(__file__).parents[1] / "docs" / "images" / "hopper.gif"
ENVIRONMENT = "Hopper-v5"
TARGETS = (3000.0, 800.0)
SPEED = 2.0
CAMERA = {"trackbodyid": 2, "distance": 3.4, "elevation": -17.0}
LARGER = 2  # the floor, which a fast episode would leave
SQUARES = 12  # from one end of the usual floor to the other


def make(mode: str) -> Any:
    env = gymnasium.make(
        ENVIRONMENT, render_mode=mode, width=480, height=340, default_camera_config=CAMERA
    )
    model = env.unwrapped.model
    floor = model.geom("floor")
    floor.size[:2] *= LARGER
    material = floor.matid.item()
    model.mat_texrepeat[material] = SQUARES * LARGER
    model.mat_reflectance[material] = 0.0
    model.light_castshadow[:] = 0
    return env


def main() -> int:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "hopper.onnx"
        export(load("hopper"), "onnx", path, validate=False)
        sides = [Side(f"asked for {target:g}", Policy(path), target) for target in TARGETS]
        episodes = record_side_by_side(
            video_output(IMAGE), sides, make, ENVIRONMENT, seed=0, speed=SPEED
        )
    for episode in episodes:
        print(f"{episode.title}: {episode.total_return:.0f} in {episode.steps} steps")
    print(f"{IMAGE}: {IMAGE.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
