"""A video that was recorded."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from dt_export.cli.show.table import file_size


def video(path: Path) -> Text:
    """Where it is, and its size."""
    return Text.assemble("recorded ", (str(path), "bold"), f"  {file_size(path.stat().st_size)}")
