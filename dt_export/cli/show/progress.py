"""Progress bars, on terminals only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from dt_export.process import interrupts


@contextmanager
def cases(what: str, console: Console) -> Iterator[Callable[[int, int], None]]:
    """A bar that waits while a graph is traced, then counts cases while it is validated."""
    with Progress(
        SpinnerColumn(), TextColumn(what, markup=False), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal,
    ) as bar:  # fmt: skip
        task = bar.add_task(what, total=None)

        def on_case(done: int, total: int) -> None:
            interrupts.check()  # a library may have swallowed it
            bar.update(task, completed=done, total=total)

        yield on_case


@contextmanager
def steps(episodes: int, console: Console) -> Iterator[Callable[[int, int, float], None]]:
    """A bar over episodes that shows the steps and the return of the current one."""
    with Progress(
        TextColumn("episode"), MofNCompleteColumn(), BarColumn(),
        TextColumn("{task.fields[now]}", markup=False), TimeElapsedColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    ) as bar:  # fmt: skip
        task = bar.add_task("episodes", total=episodes, now="")

        def on_step(episode: int, length: int, total: float) -> None:
            if length % 20 == 0:
                interrupts.check()
                bar.update(task, completed=episode, now=f"step {length}, return {total:.0f}")

        yield on_step
