"""Text and lines stand out from what is behind them, in light and dark (WCAG 2.2, level AA)."""

import re
from importlib.resources import files

import pytest

from dt_export.html.drawing import INK

STYLE = files("dt_export.html").joinpath("templates", "style.css").read_text(encoding="utf-8")
SCHEMES = dict(
    zip(("light", "dark", "print"), re.findall(r":root \{(.*?)\}", STYLE, re.S), strict=True)
)
TEXT = ("text", "muted", "passed", "failed", "undecided", "link")
LINES = ("eager", "artifact", "rounding", "bound", "failed", "allowed", "muted")


def colours(scheme):
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", SCHEMES[scheme]))


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_formula():
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", TEXT)
def test_text(scheme, name):
    known = colours(scheme)
    for behind in ("paper", "sheet"):
        assert contrast(known[name], known[behind]) >= 4.5


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", LINES)
def test_lines(scheme, name):
    known = colours(scheme)
    assert contrast(known[name], known["paper"]) >= 3.0


@pytest.mark.parametrize("name", INK)
def test_every_ink_has_a_colour_and_a_class(name):
    assert all(name in colours(scheme) for scheme in SCHEMES)
    assert f".fill-{name} {{ fill: var(--{name}); }}" in STYLE
    assert f".stroke-{name} {{ stroke: var(--{name}); }}" in STYLE
