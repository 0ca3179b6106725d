"""What the failures of a validation point at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from dt_export.process.terminal import one_line

if TYPE_CHECKING:
    from dt_export.validation import Report


def diagnosis(report: Report) -> RenderableType:
    """A line for each likely cause; nothing where nothing failed."""
    from dt_export.validation.diagnosis import diagnose

    return Group(*(Text(f"likely: {one_line(what)}", "yellow") for what in diagnose(report)))
