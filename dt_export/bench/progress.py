"""A progress line for a benchmark, without a thread that would disturb the measurement."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from dt_export.process import interrupts


@contextmanager
def showing(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """A function for ``bench``'s ``on_progress``; it shows nothing outside a terminal.

    The bar is drawn only when the function is called: Rich's refresh thread would take the
    interpreter away from a candidate in the middle of a step.
    """
    with Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn(),
        console=console, transient=True, auto_refresh=False, disable=not console.is_terminal,
    ) as bar:  # fmt: skip
        task = bar.add_task("", total=None)

        def on_progress(what: str, done: int, total: int) -> None:
            interrupts.check()  # a library may have swallowed Ctrl-C
            bar.update(task, description=what, completed=done, total=total or None)
            bar.refresh()

        yield on_progress
