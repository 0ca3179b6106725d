"""Presets, dialects, and what `dt-export doctor` found."""

from rich.console import RenderableType
from rich.text import Text

from dt_export.cli.show.table import plain_table


def presets(rows: list[tuple[str, str, str, str]]) -> RenderableType:
    table = plain_table("name", "environment", "target returns", "where")
    for name, *rest in rows:
        table.add_row(Text(name, style="bold"), *rest)
    return table


def dialects(rows: list[tuple[str, str, str]]) -> RenderableType:
    table = plain_table("dialect", "recognised by", "flags that may be needed")
    for name, looked_for, flags in rows:
        table.add_row(Text(name, style="bold", no_wrap=True), looked_for, flags)
    return table


def health(rows: list[tuple[str, str, str]]) -> RenderableType:
    table = plain_table("what", "found", "to get it")
    for what, found, remedy in rows:
        table.add_row(what, Text(found, style="yellow" if remedy else "green"), Text(remedy))
    return table
