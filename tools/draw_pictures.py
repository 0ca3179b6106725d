"""Draws the pictures of the documentation, each for light and dark pages, as small SVG files.

    python tools/draw_pictures.py            # docs/images/*.svg
    python tools/draw_pictures.py --check    # exit with 1 if one is out of date

The numbers are those of the pages: the tables in docs/benchmarks.md, and the evaluation in the
bundled policy's policy.json.
"""

import argparse
import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
BENCHMARKS = ROOT / "docs" / "benchmarks.md"
POLICY = ROOT / "dt_export" / "checkpoints" / "bundled" / "hopper" / "policy.json"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


@dataclass(frozen=True)
class Palette:
    """Colours on a page of one brightness; the background stays transparent."""

    ink: str
    muted: str
    grid: str
    panel: str
    accent: str
    series: tuple[str, ...]


# After Okabe and Ito, so that colour-blind readers can tell the series apart.
PALETTES = {
    "light": Palette(
        "#1f2328", "#59636e", "#d8dee4", "#f6f8fa", "#0072b2",
        ("#59636e", "#b34e00", "#0072b2", "#00795a", "#a8337c", "#7a5c00"),
    ),
    "dark": Palette(
        "#e6edf3", "#9da7b1", "#3d444d", "#1c2128", "#58b4f0",
        ("#b1bac4", "#f0883e", "#58b4f0", "#3fd0a4", "#e58cc4", "#e3c34a"),
    ),
}  # fmt: skip


class Drawing:
    """SVG elements on a canvas of ``width`` times ``height`` pixels."""

    def __init__(self, width: int, height: int, title: str, palette: Palette):
        self.size, self.title, self.palette = (width, height), title, palette
        self.elements: list[str] = []

    def add(self, name: str, content: str = "", **attributes: object) -> None:
        words = "".join(
            f' {key.replace("_", "-")}="{_number(value)}"' for key, value in attributes.items()
        )
        self.elements.append(
            f"<{name}{words}>{content}</{name}>" if content else f"<{name}{words}/>"
        )

    def text(self, x: float, y: float, content: str, **attributes: object) -> None:
        self.add("text", escape(content), x=x, y=y, **{"fill": self.palette.ink, **attributes})

    def line(self, points: Sequence[tuple[float, float]], **attributes: object) -> None:
        path = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
        self.add("polyline", points=path, fill="none", **attributes)

    def arrow(self, *points: tuple[float, float]) -> None:
        self.line(points, stroke=self.palette.muted, stroke_width=1.6, marker_end="url(#head)")

    def svg(self) -> str:
        width, height = self.size
        head = (
            '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            f'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="{self.palette.muted}"/>'
            "</marker>"
        )
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
                f'width="{width}" height="{height}" role="img" font-family="{FONT}" '
                'font-size="14">',
                f"<title>{escape(self.title)}</title>",
                *([f"<defs>{head}</defs>"] if any("#head" in e for e in self.elements) else []),
                *self.elements,
                "</svg>",
                "",
            ]
        )


def _number(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


# --- The way of the data ------------------------------------------------------------------------


def pipeline(palette: Palette) -> Drawing:
    title = "From a checkpoint to the robot"
    drawing = Drawing(760, 312, title, palette)
    _frame(drawing, (4, 4, 752, 138), "dt-export, on your workstation")
    _frame(drawing, (4, 160, 182, 146), "dt_runtime, on the robot")
    boxes = {
        "checkpoint": (18, 42, "Checkpoint", ("read, never", "executed")),
        "model": (208, 42, "Model", ("plain PyTorch,", "the reference")),
        "graph": (398, 42, "Graph", ("policy, step,", "sequence, ...")),
        "target": (588, 42, "Target", ("ONNX, ORT,", "TorchScript")),
        "robot": (18, 202, "Control loop", ("raw observation in,", "raw action out")),
        "check": (303, 202, "Validation", ("equal to the model", "on every window?")),
        "file": (588, 202, "File", ("graph, weights,", "contract")),
    }
    for name, (x, y, head, lines) in boxes.items():
        _box(drawing, x, y, head, lines, strong=name in ("check",))
    for a, b in (("checkpoint", "model"), ("model", "graph"), ("graph", "target")):
        drawing.arrow((boxes[a][0] + 154, 85), (boxes[b][0] - 3, 85))
    drawing.arrow((665, 128), (665, 199))
    drawing.arrow((588, 245), (460, 245))
    drawing.arrow((303, 245), (175, 245))
    drawing.arrow((285, 128), (285, 164), (380, 164), (380, 199))
    small = {"font_size": 13, "fill": palette.muted, "text_anchor": "middle"}
    drawing.text(245, 236, "yes: it gets", **small)
    drawing.text(245, 262, "its name", **small)
    drawing.text(380, 305, "no: nothing is written", **small)
    drawing.text(524, 236, "run", **small)
    return drawing


def _frame(drawing: Drawing, place: tuple[int, int, int, int], label: str) -> None:
    x, y, width, height = place
    drawing.add(
        "rect", x=x, y=y, width=width, height=height, rx=10, fill="none",
        stroke=drawing.palette.grid, stroke_width=1.5,
    )  # fmt: skip
    drawing.text(x + 14, y + 21, label, fill=drawing.palette.muted, font_size=13)


def _box(
    drawing: Drawing, x: int, y: int, head: str, lines: Sequence[str], strong: bool = False
) -> None:
    palette = drawing.palette
    drawing.add(
        "rect", x=x, y=y, width=154, height=86, rx=8, fill=palette.panel,
        stroke=palette.accent if strong else palette.muted, stroke_width=2 if strong else 1.2,
    )  # fmt: skip
    drawing.text(x + 77, y + 27, head, text_anchor="middle", font_weight=600, font_size=16)
    for row, line in enumerate(lines):
        drawing.text(
            x + 77, y + 50 + 19 * row, line, text_anchor="middle", fill=palette.muted, font_size=14
        )


# --- Charts -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scale:
    """Numbers from ``low`` to ``high`` on pixels from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.logarithmic:
            value, low, high = math.log(value), math.log(low), math.log(high)
        return self.start + (value - low) / (high - low) * (self.end - self.start)


def _axes(
    drawing: Drawing, x: Scale, y: Scale, x_ticks: Sequence[float], y_ticks: Sequence[float],
    x_label: str,
) -> None:  # fmt: skip
    palette = drawing.palette
    for tick in y_ticks:
        drawing.line([(x.start, y(tick)), (x.end, y(tick))], stroke=palette.grid)
        drawing.text(
            x.start - 8, y(tick) + 5, f"{tick:,.0f}", text_anchor="end", fill=palette.muted
        )
    drawing.line([(x.start, y.start), (x.end, y.start)], stroke=palette.muted)
    for tick in x_ticks:
        drawing.line([(x(tick), y.start), (x(tick), y.start + 5)], stroke=palette.muted)
        drawing.text(
            x(tick), y.start + 21, f"{tick:,.0f}", text_anchor="middle", fill=palette.muted
        )
    drawing.text((x.start + x.end) / 2, y.start + 44, x_label, text_anchor="middle")


def hopper_returns(palette: Palette) -> Drawing:
    """Achieved over asked, mean and standard deviation."""
    training = json.loads(POLICY.read_text(encoding="utf-8"))["training"]
    rows, data = training["evaluation"], training["dataset"]
    drawing = Drawing(620, 440, "Achieved return against target return in Hopper-v5", palette)
    x, y = Scale(0, 3400, 66, 606), Scale(0, 3400, 384, 34)
    drawing.text(12, 20, "achieved return", fill=palette.muted)
    drawing.add(
        "rect", x=x.start, y=y(data["return_max"]), width=x.end - x.start,
        height=y(data["return_min"]) - y(data["return_max"]), fill=palette.accent, opacity="0.1",
    )  # fmt: skip
    ticks = range(0, 3001, 500)
    _axes(drawing, x, y, ticks, ticks, "target return")
    drawing.line([(x(0), y(0)), (x(3400), y(3400))], stroke=palette.muted, stroke_dasharray="5 5")
    points = [(x(row["target"]), y(row["mean"])) for row in rows]
    for row, (px, _) in zip(rows, points, strict=True):
        low, high = y(max(0, row["mean"] - row["std"])), y(row["mean"] + row["std"])
        if low - high > 8:  # shorter than its marker otherwise
            drawing.line([(px, low), (px, high)], stroke=palette.accent, stroke_width=1.6)
            for end in (low, high):
                drawing.line(
                    [(px - 5, end), (px + 5, end)], stroke=palette.accent, stroke_width=1.6
                )
    drawing.line(points, stroke=palette.accent, stroke_width=2)
    for px, py in points:
        drawing.add("circle", cx=px, cy=py, r=4.5, fill=palette.accent)
    drawing.text(x(60), y(2900), "returns in the training data", fill=palette.muted)
    drawing.text(x(1000), y(600), "achieved: mean and standard deviation,", fill=palette.accent)
    drawing.text(x(1000), y(405), f"{rows[0]['episodes']} episodes per target", fill=palette.accent)
    drawing.text(x(2760), y(3230), "achieved = target", fill=palette.muted, text_anchor="end")
    return drawing


def step_latency(palette: Palette) -> Drawing:
    """Median of one step by context length and hidden size, both axes logarithmic."""
    drawing = Drawing(760, 390, "Median time of one control step", palette)
    y = Scale(4, 18000, 330, 40, logarithmic=True)
    y_ticks = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
    panels = (
        ("K", 60, 300, "context length K (hidden size 128)"),
        ("hidden", 404, 644, "hidden size (K = 20)"),
    )
    drawing.text(12, 20, "median of one step, µs, one thread", fill=palette.muted)
    for axis, start, end, label in panels:
        values, lines = table(axis)
        x = Scale(values[0], values[-1], start, end, logarithmic=True)
        _axes(drawing, x, y, values, y_ticks, label)
        for line, color in zip(lines.values(), palette.series, strict=True):
            points = [(x(value), y(number)) for value, number in zip(values, line, strict=True)]
            drawing.line(points, stroke=color, stroke_width=2.2)
            for px, py in points:
                drawing.add("circle", cx=px, cy=py, r=3.6, fill=color)
        if axis == "hidden":
            ends = apart([y(line[-1]) for line in lines.values()], 18)
            for name, height, color in zip(lines, ends, palette.series, strict=True):
                drawing.text(end + 10, height + 5, name, fill=color, font_size=14)
    return drawing


def table(axis: str) -> tuple[list[float], dict[str, list[float]]]:
    """The table of docs/benchmarks.md whose first header begins with ``axis``."""
    rows = re.findall(r"^\| (.*) \|$", BENCHMARKS.read_text(encoding="utf-8"), re.M)
    cells = [[cell.strip() for cell in row.split(" | ")] for row in rows]
    start = next(i for i, row in enumerate(cells) if re.match(rf"{axis} \(", row[0]))
    names = {
        "transformers eager": "transformers", "naive export": "naive export", "`policy`": "policy",
        "`step`, 1 slot": "step", "C, 1 slot": "C", "C int8, 1 slot": "C int8",
    }  # fmt: skip
    rows_of = cells[start + 2 : start + 2 + len(names)]
    lines = {names[row[0]]: [float(cell) for cell in row[1:]] for row in rows_of}
    return [float(cell) for cell in cells[start][1:]], lines


def apart(wanted: Sequence[float], gap: float) -> list[float]:
    """Ascending heights, moved down where two are closer than ``gap``."""
    placed = list(wanted)
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    for above, below in pairwise(order):
        placed[below] = max(placed[below], placed[above] + gap)
    return placed


PICTURES: Mapping[str, Callable[[Palette], Drawing]] = {
    "pipeline": pipeline,
    "hopper_returns": hopper_returns,
    "step_latency": step_latency,
}


def drawn() -> Iterator[tuple[Path, str]]:
    """Every file and what it should hold."""
    for name, draw in PICTURES.items():
        for scheme, palette in PALETTES.items():
            yield IMAGES / f"{name}-{scheme}.svg", draw(palette).svg()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="exit with 1 if one is out of date")
    check, stale = parser.parse_args().check, []
    for path, content in drawn():
        if check:
            if not path.is_file() or path.read_text(encoding="utf-8") != content:
                stale.append(path.name)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(content, encoding="utf-8")
    for name in stale:
        print(f"docs/images/{name} is out of date: run this without --check", file=sys.stderr)
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
