"""What a page shows as a picture: panels with a legend, and the same numbers as tables."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Cells as text; a screen reader gets this in place of the picture."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text: bool = False  # words rather than numbers: aligned to the left


@dataclass(frozen=True)
class Panel:
    """One picture. ``svg`` is safe to put into a page as it is."""

    title: str
    label: str  # what a screen reader says
    svg: str
    table: Table
    note: str = ""


@dataclass(frozen=True)
class Key:
    """One entry of a legend: ``ink`` and ``mark`` as the plot draws it."""

    ink: str  # a name of drawing.INK
    mark: str  # line | thick | dashed | dotted | dot | ring | cross | band
    text: str


@dataclass(frozen=True)
class Plot:
    """Panels that share a legend."""

    title: str
    keys: tuple[Key, ...]
    panels: tuple[Panel, ...]
    note: str = ""
