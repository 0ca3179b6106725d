"""Episodes as videos: what is drawn, how fast it plays, and what becomes of failures."""

import os
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from dt_runtime import OutputError, Policy, rollout
from PIL import Image

from dt_export.errors import UsageError
from dt_export.files.ours import is_video
from dt_export.files.writing import Output
from dt_export.recording import offscreen
from dt_export.recording.filming import (
    Recorded,
    Side,
    asking,
    filmed,
    record_side_by_side,
    video_output,
)
from dt_export.recording.offscreen import choose_renderer, make_rendering
from dt_export.recording.panel import ACCENT, ACTIONS, HEAD, NUMBERS, Style, draw
from dt_export.recording.shots import Filmed, Shot, shots
from dt_export.recording.video import LONGEST_GIF, pace, writing

SKY = (30, 60, 200)


class Robot(gymnasium.Env):
    """Of the tiny checkpoint's sizes. Its picture shows the step: a red column that moves right."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 15}  # noqa: RUF012 - Gymnasium's way
    observation_space = gymnasium.spaces.Box(-1, 1, (5,))
    action_space = gymnasium.spaces.Box(-1, 1, (2,))

    def __init__(self, render_mode=None, steps=6, fault_at=None):
        self.render_mode, self.last, self.fault_at = render_mode, steps, fault_at
        self.steps, self.rendered = 0, 0

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return np.full(5, 0.1, np.float32), {}

    def step(self, action):
        self.steps += 1
        if self.steps == self.fault_at:
            raise RuntimeError("the simulation\nexploded")
        return np.full(5, 0.1, np.float32), 2.0, self.steps == self.last, False, {}

    def render(self):
        self.rendered += 1
        frame = np.full((40, 60, 3), SKY, np.uint8)
        frame[:, 5 * self.steps : 5 * self.steps + 3] = (255, 0, 0)
        return frame


@pytest.fixture
def policy(policy_file):
    return Policy(policy_file)


def frames(path: Path) -> list[Image.Image]:
    with Image.open(path) as video:
        return [_frame(video, index) for index in range(video.n_frames)]


def _frame(video: Image.Image, index: int) -> Image.Image:
    video.seek(index)
    return video.convert("RGB")


def decoded(path: Path) -> tuple[dict, int]:
    """What ffmpeg reads in an MP4: its facts, and the number of pictures."""
    from imageio_ffmpeg import count_frames_and_secs, read_frames

    reader = read_frames(path)
    facts = next(reader)
    reader.close()
    return facts, count_frames_and_secs(path)[0]


def test_a_shot_is_what_the_policy_saw_and_what_came_of_it(policy):
    (first, second, *_, last) = shots(policy, Robot("rgb_array"), seed=0, target_return=100.0)
    assert (first.step, first.return_to_go, first.total, first.reward) == (1, 100.0, 2.0, 2.0)
    assert (second.step, second.return_to_go, second.total) == (2, 98.0, 4.0)
    assert len(first.action) == 2 and first.end == "" and last.end == "terminated"
    assert first.picture.shape == (40, 60, 3)


def test_a_filmed_environment_is_played_as_any_other(policy):
    plain, seen = Robot("rgb_array"), []
    episodes = rollout(policy, Filmed(plain, policy, seen.append), 2, target_return=9.0, seed=0)
    assert [episode.total_return for episode in episodes] == [12.0, 12.0]
    assert [shot.step for shot in seen] == [1, 2, 3, 4, 5, 6]  # of the first episode alone
    assert plain.rendered == 6


def test_every_nth_step_and_the_last_one(policy):
    assert [shot.step for shot in shots(policy, Robot("rgb_array", 7), every=3)] == [3, 6, 7]


@pytest.mark.parametrize(
    ("name", "fps", "every"),
    (
        ("a.gif", 125, 9), ("a.gif", 50, 4), ("a.gif", 15, 1), ("a.gif", 4, 1),
        ("a.mp4", 125, 3), ("a.mp4", 50, 1), ("a.MP4", 60, 2),
    ),
)  # fmt: skip
def test_a_video_plays_in_real_time(name, fps, every):
    tempo = pace(Output(Path(name), "--record", is_video), fps)
    assert tempo.every == every
    assert tempo.seconds == pytest.approx(every / fps)


@pytest.mark.parametrize("suffix", (".gif", ".mp4"))
def test_side_by_side(policy, tmp_path, suffix):
    """The shorter episode keeps its last picture while the other goes on."""
    path = tmp_path / f"two{suffix}"
    made = iter([Robot("rgb_array", steps=3), Robot("rgb_array", steps=6)])
    sides = [Side("short", policy.clone(), 100.0), Side("long", policy.clone(), 50.0)]
    steps: list[int] = []
    done = record_side_by_side(
        video_output(path), sides, lambda mode: next(made), "Robot", seed=0, on_step=steps.append
    )
    assert done == [
        Recorded("short", 3, 6.0, "terminated"), Recorded("long", 6, 12.0, "terminated"),
    ]  # fmt: skip
    assert steps == [1, 2, 3, 4, 5, 6]
    assert is_video(path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    if suffix == ".mp4":
        facts, count = decoded(path)
        assert facts["size"][0] == 2 * 480 + 8
        assert facts["fps"] == pytest.approx(15, abs=0.1) and count == 6 + 22
        return
    pictures = frames(path)
    assert len(pictures) == 6
    left = [np.asarray(picture)[:, :360] for picture in pictures]
    right = [np.asarray(picture)[:, 368:] for picture in pictures]
    assert (left[2] == left[5]).all() and not (left[1] == left[2]).all()
    assert not any((a == b).all() for a, b in pairwise(right))


def test_return_to_go_rewards_and_actions_are_drawn(policy, tmp_path):
    """Each part of a panel changes with what it shows, and with nothing else."""
    style = Style.of("title", policy.contract, (60, 40))
    base = Shot(7, np.full((40, 60, 3), SKY, np.uint8), 50.0, 1.0, 9.0, (0.5, -0.5))
    top, below = HEAD, style.height - NUMBERS - ACTIONS
    parts = {
        "head": slice(0, top), "scene": slice(top, below),
        "numbers": slice(below, below + NUMBERS), "actions": slice(below + NUMBERS, style.height),
    }  # fmt: skip
    changes = {
        "head": {"step": 8}, "scene": {"picture": base.picture + 9}, "actions": {"action": (0.5, 1)}
    }  # fmt: skip
    cases = [*changes.items(), *(("numbers", {field: 3.0}) for field in ("return_to_go", "reward",
             "total"))]  # fmt: skip
    before = np.asarray(draw(style, base))
    assert before.shape == (style.height, 360, 3)
    for part, change in cases:
        after = np.asarray(draw(style, replace(base, **change)))
        differing = {name for name, rows in parts.items() if (before[rows] != after[rows]).any()}
        assert differing == {part}, change


def test_bars_point_up_for_the_upper_bound_and_down_for_the_lower(policy):
    style = Style("t", (60, 40), low=(-1.0, 0.0, -1.0), high=(1.0, 10.0, 1.0))
    scene = np.zeros((40, 60, 3), np.uint8)
    panel = np.asarray(draw(style, Shot(1, scene, None, 0.0, 0.0, (1.0, 0.0, 0.0))))
    blue = (panel == Image.new("RGB", (1, 1), ACCENT).getpixel((0, 0))).all(axis=-1)
    columns = [blue[:, start : start + 108] for start in (12, 124, 236)]
    heights = [column.any(axis=1).sum() for column in columns]
    assert heights[0] > 15 and heights[1] > 15 and heights[2] <= 1
    assert (
        np.flatnonzero(columns[0].any(axis=1)).max()
        < np.flatnonzero(columns[1].any(axis=1)).min() + 2
    )


@pytest.mark.parametrize(("choice", "left"), ((0, True), (3, False)))
def test_a_discrete_choice_is_a_cell(choice, left):
    style = Style("t", (60, 40), choices=4)
    scene = np.zeros((40, 60, 3), np.uint8)
    panel = np.asarray(draw(style, Shot(1, scene, None, 0.0, 0.0, (float(choice),))))
    blue = (panel == Image.new("RGB", (1, 1), ACCENT).getpixel((0, 0))).all(axis=-1)
    columns = np.flatnonzero(blue.any(axis=0))
    assert columns.size > 50 and (columns.max() < 180 if left else columns.min() > 180)


def test_a_policy_that_fails_midway_is_shown_up_to_there(policy, tmp_path):
    path = tmp_path / "failed.gif"
    made = iter([Robot("rgb_array"), Robot("rgb_array", fault_at=4)])
    sides = [Side("eager", policy.clone(), 9.0), Side("artifact", policy.clone(), 9.0)]
    fine, failed = record_side_by_side(video_output(path), sides, lambda mode: next(made), "Robot")
    assert fine.problem is None and fine.steps == 6
    assert (failed.end, failed.steps) == ("failed", 3)
    assert failed.problem == r"RuntimeError: the simulation\nexploded"
    assert len(frames(path)) == 6


def test_nan_at_the_first_step_still_makes_a_video(policy, tmp_path):
    class Broken:
        """A policy whose output is NaN."""

        def __getattr__(self, name):
            return getattr(policy, name)

        def act(self, observation, reward=None):
            raise OutputError("the output is nan")

    path = tmp_path / "nan.gif"
    side = Side("artifact", Broken(), 9.0)
    (done,) = record_side_by_side(video_output(path), [side], Robot, "Robot")
    assert (done.end, done.steps) == ("failed", 0) and "nan" in done.problem
    assert is_video(path)


def test_a_long_gif_has_fewer_pictures_and_shows_the_end(tmp_path):
    """In real time still, however long the episode."""
    path, count = tmp_path / "long.gif", LONGEST_GIF + 2
    with writing(video_output(path), 0.1) as video:
        for index in range(count):
            dot = Image.new("RGB", (count, 1))
            dot.putpixel((index, 0), (255, 255, 255))
            video.add(dot)
    with Image.open(path) as gif:
        durations = [_frame(gif, index) and gif.info["duration"] for index in range(gif.n_frames)]
        last = _frame(gif, gif.n_frames - 1)
    assert LONGEST_GIF // 2 < len(durations) <= LONGEST_GIF // 2 + 2
    assert sum(durations[:-1]) == pytest.approx(1000 * 0.1 * count, rel=0.01)
    assert last.getpixel((count - 1, 0)) == (255, 255, 255)


@pytest.mark.parametrize("suffix", (".gif", ".mp4"))
def test_nothing_is_written_if_the_episode_breaks_off(policy, tmp_path, suffix):
    output = video_output(tmp_path / f"a{suffix}")
    make = lambda mode: Robot(mode, fault_at=3)  # noqa: E731
    with pytest.raises(RuntimeError, match="exploded"), filmed(
        output, policy, make, "Robot", "t"
    ) as env:  # fmt: skip
        rollout(policy, env, target_return=9.0)
    assert list(tmp_path.iterdir()) == []


def test_ffmpeg_that_fails_is_one_message(policy, tmp_path, monkeypatch):
    """And leaves nothing behind. The real ffmpeg, told to use an encoder that it does not have."""
    from dt_export.recording import video

    real = video._command
    monkeypatch.setattr(
        video, "_command", lambda *a: [w.replace("libx264", "nothing264") for w in real(*a)]
    )
    output = video_output(tmp_path / "a.mp4")
    with pytest.raises(UsageError, match=r"--record .*a\.mp4: ffmpeg failed: .*"):
        record_side_by_side(output, [Side("t", policy, 9.0)], Robot, "Robot")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ("mine.gif", "mine.mp4"))
def test_a_video_of_somebody_else_is_kept(name, tmp_path):
    theirs = tmp_path / name
    if name.endswith("gif"):
        Image.new("RGB", (4, 4)).save(theirs)
    else:
        theirs.write_bytes(b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\x08free")
    with pytest.raises(UsageError, match="--force"):
        video_output(theirs)
    video_output(theirs, force=True)


@pytest.mark.parametrize("suffix", (".gif", ".mp4"))
def test_an_earlier_recording_may_be_replaced(policy, tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    for _ in range(2):
        record_side_by_side(video_output(path), [Side("t", policy, 9.0)], Robot, "Robot")
    with pytest.raises(UsageError, match="choose another name with --record"):
        video_output(path, inputs=(path,))


@pytest.mark.parametrize(
    ("name", "words"),
    (
        ("a.avi", r"a\.avi: expected a file ending in \.gif or \.mp4"),
        ("no/such/a.gif", "does not exist"),
    ),
)
def test_files_that_cannot_be_written(tmp_path, name, words):
    with pytest.raises(UsageError, match=words):
        video_output(tmp_path / name)


@pytest.mark.parametrize(
    ("module", "name", "words"),
    (
        (
            "imageio_ffmpeg",
            "a.mp4",
            r"MP4 needs imageio-ffmpeg: `pip install 'dt-export\[record\]'`",
        ),
        ("PIL", "a.gif", r"needs Pillow: `pip install 'dt-export\[record\]'`"),
    ),
)
def test_a_package_that_is_missing(tmp_path, monkeypatch, module, name, words):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=words):
        video_output(tmp_path / name)


class Vector(Robot):
    num_envs = 2


class Blind(Robot):
    """An environment that has no pictures."""

    metadata = {"render_modes": ["human"]}  # noqa: RUF012

    def __init__(self, render_mode=None):
        super().__init__(None)


class Ascii(Robot):
    def render(self):
        return "+--+"


class Dark(Robot):
    def render(self):
        raise OSError("no display\x1b")


@pytest.mark.parametrize(
    ("kind", "words"),
    (
        (Vector, "Rob-v0 is a vector environment; record a single one"),
        (Blind, "Rob-v0 cannot render to arrays: .* its render modes are: human"),
        (Ascii, r"Rob-v0 renders str of shape \(\)"),
        (Dark, r"Rob-v0 cannot render: OSError: no display\\x1b$"),
    ),
)
def test_environments_that_cannot_be_recorded(kind, words):
    with pytest.raises(UsageError, match=words):
        make_rendering(kind, "Rob-v0")


def test_a_policy_that_does_not_fit(policy, tmp_path):
    class Other(Robot):
        observation_space = gymnasium.spaces.Box(-1, 1, (7,))

    with pytest.raises(UsageError, match=r"--record: Other: .*\(7,\).*\(5,\)"):
        record_side_by_side(
            video_output(tmp_path / "a.gif"), [Side("t", policy, 9.0)], Other, "Other"
        )
    assert list(tmp_path.iterdir()) == []


def test_titles(policy):
    assert asking(policy, 1200.0, "Robot-v0") == "asked for 1200"
    assert asking(policy, None, "Robot-v0") == "asked for 250"


def test_your_own_renderer_is_kept(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    monkeypatch.setattr(offscreen, "_works", pytest.fail)
    assert choose_renderer() == "glfw"
    assert os.environ["MUJOCO_GL"] == "glfw"


@pytest.mark.parametrize(
    ("working", "chosen"), ((("egl", "osmesa"), "egl"), (("osmesa",), "osmesa"), ((), None))
)
def test_the_first_renderer_that_works_is_chosen(monkeypatch, working, chosen):
    monkeypatch.setenv("MUJOCO_GL", "")
    monkeypatch.setattr(offscreen, "_works", lambda name: name in working)
    assert choose_renderer() == chosen
    assert (os.environ["MUJOCO_GL"] or None) == chosen
