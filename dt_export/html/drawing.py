"""Matplotlib's SVG made fit for a page: colours from the page's style sheet, and small.

A colour is drawn as a placeholder and becomes a class, so that one picture serves light and dark.
Text stays text in the font of the page: crisp, searchable, and a fraction of the size of outlines.
Matplotlib lays it out in DejaVu Sans, which is wider than what browsers use: nothing collides.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The placeholders. The style sheet has a variable for each name.
INK = {
    name: f"#0101{number:02x}"
    for number, name in enumerate(
        ("text", "muted", "grid", "eager", "artifact", "rounding", "bound", "failed", "allowed")
    )
}
WIDTH, HEIGHT = 360.0, 236.0  # CSS pixels of a panel: the width of a phone, at scale 1
POINTS = 72.0  # to the inch
FONT = 11.5  # CSS pixels
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "dt-export",  # else identifiers are random
    "text.parse_math": False,  # a dollar is a dollar
    "font.family": "DejaVu Sans",  # ships with matplotlib, so the layout is the same everywhere
    "font.size": FONT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK["muted"],
    "axes.labelcolor": INK["text"],
    "axes.linewidth": 0.8,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "xtick.color": INK["muted"],
    "ytick.color": INK["muted"],
    "xtick.labelcolor": INK["text"],
    "ytick.labelcolor": INK["text"],
    "grid.color": INK["grid"],
    "grid.linewidth": 0.7,
}
_NAMES = {colour: name for name, colour in INK.items()}
_LONG = re.compile(r"-?\d+\.\d{3,}")  # a number with more digits than anyone sees
_NUMBERS = ("d", "x", "y", "transform", "width", "height", "stroke-width", "font-size")
_HREF = "{http://www.w3.org/1999/xlink}href"


def svg(draw: Callable[[Figure], None], name: str, label: str, height: float = HEIGHT) -> str:
    """What ``draw`` draws into an empty figure, as an ``<svg>`` element to put into a page.

    Args:
        name: unique on the page; the element's identifiers begin with it.
        label: what a screen reader says.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    buffer = io.BytesIO()
    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the browser has it
        figure = Figure(figsize=(WIDTH / POINTS, height / POINTS))
        FigureCanvasSVG(figure)
        draw(figure)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return _for_a_page(ElementTree.fromstring(buffer.getvalue()), name, label)


def axes(figure: Figure, xlabel: str, ylabel: str = "", *, left: float = 52.0) -> Axes:
    """Axes that fill a panel, with room for labels; all sizes are CSS pixels."""
    height = figure.get_figheight() * POINTS
    bottom, top, right = 44.0, 10.0, 12.0
    ax: Axes = figure.add_axes(
        (
            left / WIDTH,
            bottom / height,
            (WIDTH - left - right) / WIDTH,
            (height - bottom - top) / height,
        )
    )
    ax.set_xlabel(xlabel)
    if ylabel:
        ax.set_ylabel(ylabel)
    ax.grid(True, axis="y")
    ax.set_axisbelow(True)
    return ax


def logarithmic(ax: Axes, low: float, high: float) -> None:
    """A logarithmic y axis of whole decades that holds ``low`` and ``high``, labelled 1e-7."""
    from math import ceil, floor, log10

    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    first, last = floor(log10(low)), ceil(log10(high))
    if last - first < 2:
        first -= 1
    ax.set_yscale("log")
    ax.set_ylim(10.0**first, 10.0**last)
    every = max(1, (last - first + 5) // 6)
    ax.yaxis.set_major_locator(FixedLocator([10.0**n for n in range(first, last + 1, every)]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"1e{round(log10(value))}"))
    ax.yaxis.set_minor_locator(NullLocator())


def _for_a_page(root: ElementTree.Element, name: str, label: str) -> str:
    box = root.attrib["viewBox"]
    used = {element.get(_HREF, "").removeprefix("#") for element in root.iter()}
    root = _cleaned(root, name, used)
    root.attrib = {"class": "plot", "viewBox": box, "role": "img", "aria-label": label}
    return ElementTree.tostring(root, encoding="unicode")


def _cleaned(element: ElementTree.Element, name: str, used: set[str]) -> ElementTree.Element:
    """The element without namespaces, whitespace, needless names and digits, inline styles."""
    tag = element.tag.rpartition("}")[2]
    clean = ElementTree.Element(tag)
    if tag == "text" and element.text is not None:
        clean.text = element.text
    classes = []
    for key, value in element.attrib.items():
        if key == "style":
            for entry in filter(None, (part.strip() for part in value.split(";"))):
                prop, _, what = entry.partition(": ")
                if prop in ("fill", "stroke") and what in _NAMES:
                    classes.append(f"{prop}-{_NAMES[what]}")
                elif prop != "font-family":
                    clean.set(prop, what)
        elif key == "id":
            if value in used or element.tag.endswith("clipPath"):
                clean.set("id", f"{name}-{value}")
        elif key == _HREF:
            clean.set("href", f"#{name}-{value[1:]}")
        elif key == "clip-path":
            clean.set(key, value.replace("url(#", f"url(#{name}-"))
        elif not (key == "transform" and value.startswith("rotate(-0 ")):
            clean.set(key, value)
    for key in _NUMBERS:
        if key in clean.attrib:
            short = _LONG.sub(_rounded, clean.attrib[key])
            clean.set(key, " ".join(short.split()))
    if classes:
        clean.set("class", " ".join(classes))
    for child in element:
        if child.tag.rpartition("}")[2] not in ("metadata", "style"):
            kept = _cleaned(child, name, used)
            if len(kept) or kept.tag not in ("g", "defs"):
                clean.append(kept)
    return clean


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
