"""A line that says what a benchmark is doing, without a thread that disturbs what it measures."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from dt_export.process import interrupts


@contextmanager
def showing(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """A function for ``bench``'s ``on_progress``; nothing is shown where nobody looks.

    The bar is drawn only when it is told something: Rich's own refreshing thread would take the
    interpreter away from a side in the middle of a step.
    """
    with Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn(),
        console=console, transient=True, auto_refresh=False, disable=not console.is_terminal,
    ) as bar:  # fmt: skip
        task = bar.add_task("", total=None)

        def on_progress(what: str, done: int, total: int) -> None:
            interrupts.check()  # in case that it was swallowed
            bar.update(task, description=what, completed=done, total=total or None)
            bar.refresh()

        yield on_progress
