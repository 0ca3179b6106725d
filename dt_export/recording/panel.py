"""One side of a video: the environment, and below it what the policy sees and does."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from dt_runtime.contract import Contract
from PIL import Image, ImageDraw, ImageFont, ImageOps

from dt_export.recording.shots import Shot

BACKGROUND, LINE = "#14181f", "#3a4250"
TEXT, LABEL, ACCENT, OVER = "#f2f4f8", "#a9b4c4", "#4aa8ff", "#ffb454"
WIDTH = 360  # all lengths below are for a panel of this width, and grow with it
TALLEST = 1.2  # of the picture, in widths
HEAD, NUMBERS, ACTIONS = 34, 54, 76  # heights
MARGIN, GAP = 12, 8
MOST_BARS = 64  # more actions than this have no bar of their own


@dataclass(frozen=True)
class Style:
    """What all pictures of one panel share.

    Args:
        title: at the top left, such as ``asked for 3000``.
        size: of the environment's pictures, (width, height).
        low: lower bounds of the actions, for the bars; of a discrete policy empty.
        high: upper bounds.
        choices: how many actions a discrete policy chooses from; None for a continuous one.
        width: of the panel in pixels, an even number.
    """

    title: str
    size: tuple[int, int]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    choices: int | None = None
    width: int = WIDTH

    @classmethod
    def of(
        cls, title: str, contract: Contract, size: tuple[int, int], width: int = WIDTH
    ) -> "Style":
        """For the policy of a contract."""
        action = contract.action
        if action.kind == "discrete":
            return cls(title, size, choices=action.size, width=width)
        low, high = action.low or (-1.0,) * action.size, action.high or (1.0,) * action.size
        return cls(title, size, tuple(low), tuple(high), width=width)

    @property
    def scene(self) -> tuple[int, int]:
        """Pixels that the environment's picture gets: (width, height)."""
        width, height = self.size
        return self.width, round(min(self.width * height / width, TALLEST * self.width))

    @property
    def height(self) -> int:
        """Of the whole panel: even, as video wants it."""
        total = self.scene[1] + sum(self.px(part) for part in (HEAD, NUMBERS, ACTIONS))
        return total + total % 2

    def px(self, length: float) -> int:
        return round(length * self.width / WIDTH)


def draw(style: Style, shot: Shot) -> Image.Image:
    """A panel of ``style.width`` by ``style.height`` pixels."""
    panel = Image.new("RGB", (style.width, style.height), BACKGROUND)
    scene = Image.fromarray(shot.picture)
    fitted = ImageOps.pad(scene, style.scene, Image.Resampling.LANCZOS, color=BACKGROUND)
    panel.paste(fitted, (0, style.px(HEAD)))
    pen = ImageDraw.Draw(panel)
    _head(pen, style, shot)
    below = style.px(HEAD) + style.scene[1]
    _numbers(pen, style, shot, below)
    _actions(pen, style, shot, below + style.px(NUMBERS))
    return panel


def beside(panels: Sequence[Image.Image], gap: int = GAP) -> Image.Image:
    """Panels from left to right."""
    if len(panels) == 1:
        return panels[0]
    width = sum(panel.width for panel in panels) + gap * (len(panels) - 1)
    whole = Image.new("RGB", (width + width % 2, max(p.height for p in panels)), LINE)
    at = 0
    for panel in panels:
        whole.paste(panel, (at, 0))
        at += panel.width + gap
    return whole


def _head(pen: ImageDraw.ImageDraw, style: Style, shot: Shot) -> None:
    """The title, and the step or how the episode ended."""
    middle = style.px(HEAD / 2)
    right = f"step {shot.step}" + (f", {shot.end}" if shot.end else "")
    font = _font(style.px(14))
    pen.text(
        (style.width - style.px(MARGIN), middle), right, OVER if shot.end else LABEL, font, "rm"
    )
    space = style.width - style.px(2 * MARGIN + GAP) - font.getlength(right)
    title = _cut(style.title, style.px(17), space)
    pen.text((style.px(MARGIN), middle), title, TEXT, _font(style.px(17)), "lm")


def _numbers(pen: ImageDraw.ImageDraw, style: Style, shot: Shot, top: int) -> None:
    """Return-to-go, return so far and the last reward, each under its name."""
    columns = [("return so far", _number(shot.total)), ("reward", _number(shot.reward))]
    if shot.return_to_go is not None:
        columns.insert(0, ("return-to-go", _number(shot.return_to_go)))
    space = (style.width - 2 * style.px(MARGIN)) / len(columns)
    for column, (label, value) in enumerate(columns):
        left = style.px(MARGIN) + round(column * space)
        pen.text((left, top + style.px(15)), label, LABEL, _font(style.px(13)), "lm")
        color = ACCENT if label == "return-to-go" else TEXT
        pen.text((left, top + style.px(37)), value, color, _font(style.px(21)), "lm")


def _actions(pen: ImageDraw.ImageDraw, style: Style, shot: Shot, top: int) -> None:
    """A bar for each action from its middle, or a cell for each choice."""
    left, right = style.px(MARGIN), style.width - style.px(MARGIN)
    pen.text((left, top + style.px(12)), _caption(style, shot), LABEL, _font(style.px(13)), "lm")
    top, bottom = top + style.px(24), top + style.px(ACTIONS - MARGIN)
    if not shot.action:  # before the first step
        return
    count = style.choices or len(shot.action)
    space = (right - left) / min(count, MOST_BARS)
    edge = 0 if count > MOST_BARS / 2 else style.px(GAP / 2)
    for index in range(min(count, MOST_BARS)):
        box = (round(left + index * space), top, round(left + (index + 1) * space) - edge - 1)
        pen.rectangle((*box, bottom), LINE)
        if style.choices is not None:
            if index == int(shot.action[0]):
                pen.rectangle((*box, bottom), ACCENT)
            continue
        part = _part(shot.action[index], style.low[index], style.high[index])
        middle = (top + bottom) / 2
        end = bottom - part * (bottom - top)
        pen.rectangle((box[0], min(middle, end), box[2], max(middle, end)), ACCENT)
        pen.line((box[0], middle, box[2], middle), LABEL)


def _caption(style: Style, shot: Shot) -> str:
    if not shot.action:
        return "no action yet"
    if style.choices is not None:
        return f"action {int(shot.action[0])} of 0 to {style.choices - 1}"
    count = len(shot.action)
    if count > MOST_BARS:
        return f"actions, the first {MOST_BARS} of {count}"
    low, high = set(style.low), set(style.high)
    if len(low) == len(high) == 1:
        return f"actions, {style.low[0]:g} to {style.high[0]:g}"
    return "actions, each within its bounds"


def _part(value: float, low: float, high: float) -> float:
    """Where a value is between its bounds, 0 to 1; one without bounds is taken as -1 to 1."""
    if not (low > -1e9 and high < 1e9 and high > low):
        low, high = -1.0, 1.0
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _number(value: float) -> str:
    """Short: four digits or so. ``-0`` would flicker."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    text = f"{value:.{digits}f}"
    if abs(value) >= 1e6:
        text = f"{value:.3g}"
    return text.removeprefix("-") if not text.strip("-0.") else text


def _cut(text: str, size: int, space: float) -> str:
    """The text, or as much of it as there is space for."""
    font = _font(size)
    if font.getlength(text) <= space:
        return text
    while text and font.getlength(text + "...") > space:
        text = text[:-1]
    return text.rstrip() + "..."


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)  # it is inside Pillow
