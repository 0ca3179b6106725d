"""What a failed validation points at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

if TYPE_CHECKING:
    from dt_export.validation import Report


def diagnosis(report: Report) -> RenderableType:
    """A line for each likely cause; nothing where there is none."""
    from dt_export.validation.diagnosis import diagnose

    return Group(*(Text(f"likely: {said}", style="yellow") for said in diagnose(report)))
