"""Pictures of a sweep: they are there, they are pictures, and twice the same."""

import sys
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from dt_export.bench.machine import machine
from dt_export.bench.plot import _apart, check, write_plot
from dt_export.bench.report import Model, Report
from dt_export.bench.sweep import AXES, Point
from dt_export.bench.timing import Latency
from dt_export.errors import UsageError

SIDES = {"transformers": 1.0, "policy": 0.3, "step": 0.29}


def made(axes=AXES):
    points = tuple(
        Point(axis, value, key, f"the {key}", Latency(*[value * 40 * part] * 4, 10))
        for axis in axes
        for value in axes[axis]
        for key, part in SIDES.items()
    )
    missing = Point("batch", 1, "naive", "the naive", reason="not here")
    model = Model("hopper", "huggingface", 20, 128, 3, 1, (11,), 3)
    return Report(model, machine(), 1, 1, 10, True, None, (), sweep=(*points, missing))


def test_svg(tmp_path):
    path = tmp_path / "out.svg"
    write_plot(made(), path)
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    assert root.tag.endswith("svg")
    assert b"<dc:date>" not in path.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


def test_png(tmp_path):
    from matplotlib.image import imread

    path = tmp_path / "out.png"
    write_plot(made(), path)
    height, width, _ = imread(path).shape
    assert width > height > 400


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_the_same_report_gives_the_same_bytes(tmp_path, suffix):
    paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for path in paths:
        write_plot(made(), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_only_a_picture_of_ours_is_replaced(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    path.write_bytes(b"a photograph")
    with pytest.raises(UsageError, match="did not write it"):
        write_plot(made(), path)
    assert path.read_bytes() == b"a photograph"
    for force in (True, False):
        write_plot(made(), path, force=force)
    assert path.stat().st_size > 1000


def test_one_axis_alone(tmp_path):
    write_plot(made({"hidden_size": (64, 128)}), tmp_path / "out.svg")
    assert (tmp_path / "out.svg").stat().st_size > 1000


def test_labels_keep_apart_and_near_their_lines():
    assert _apart([0.1, 0.9], 0.05) == pytest.approx([0.1, 0.9])
    assert _apart([0.5, 0.5], 0.1) == pytest.approx([0.45, 0.55])
    assert _apart([0.52, 0.5, 0.1], 0.1) == pytest.approx([0.56, 0.46, 0.1])
    heights = sorted(_apart([0.5, 0.51, 0.58, 0.6], 0.05))
    assert all(b - a > 0.0499 for a, b in pairwise(heights))


def test_another_suffix(tmp_path):
    with pytest.raises(UsageError, match=r"out.pdf: expected a file ending in .svg or .png"):
        check(tmp_path / "out.pdf")


def test_no_such_folder(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        check(tmp_path / "missing" / "out.svg")


def test_without_matplotlib_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as Python marks what cannot be imported
    with pytest.raises(UsageError, match=r"pip install 'dt-export\[report\]'"):
        check(tmp_path / "out.svg")


def test_no_sweep_no_picture(tmp_path):
    with pytest.raises(UsageError, match="add --sweep"):
        write_plot(made({}), tmp_path / "out.svg")
    assert not list(tmp_path.iterdir())
