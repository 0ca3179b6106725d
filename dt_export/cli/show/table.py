"""A table without lines, and sizes of files."""

from collections.abc import Iterable
from typing import Literal

from rich.table import Table


def plain_table(*columns: str, right: Iterable[str] = (), title: str | None = None) -> Table:
    """An empty table; the columns in ``right`` are aligned right."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in right else "left"
        table.add_column(column, justify=justify, header_style="dim", overflow="fold")
    return table


def file_size(size: int) -> str:
    """Bytes for people."""
    return f"{size / 1e6:.2f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"
