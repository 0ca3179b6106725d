"""Pairs played by several processes, of which any may die without the others noticing."""

import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

import numpy as np

from dt_export.errors import UsageError
from dt_export.validation.closed_loop import Pair
from dt_export.validation.pairs import Played, Sides, play_pair

LOOK_AGAIN = 1.0  # seconds between looks at processes that say nothing
PATIENCE = 5.0  # seconds that a process has to end
FALSE_STARTS = 3  # processes that die at their first pair before no more are begun

OnPair = Callable[[], None]


@dataclass(frozen=True)
class Task:
    """A pair to play."""

    seed: int
    target_return: float
    traced: bool = False  # keep its actions
    bound: float | None = None  # of the forced error, for the trace


class Recipe(Protocol):
    """How a process opens both sides. It is pickled, so it holds paths and no engines."""

    def open(self) -> Sides: ...


class Players:
    """Processes that play pairs: a context manager that leaves none behind.

    Each process opens both sides once and computes in one thread. Processes start with the first
    tasks and wait for more until the end.

    Args:
        recipe: opens both sides in a new process.
        count: how many processes.
    """

    def __init__(self, recipe: Recipe, count: int):
        self._recipe, self._count = recipe, count
        self._workers: list[_Worker] = []
        self._false_starts = 0

    def __enter__(self) -> "Players":
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.end()

    def play(self, tasks: Sequence[Task], on_pair: OnPair) -> list[Played]:
        """Play all tasks; results are in their order. Of a process that dies, its pair has failed.

        Raises:
            UsageError: a process cannot open one of the sides.
            RuntimeError: a process met a bug; the message holds its traceback.
        """
        waiting = deque(range(len(tasks)))
        results: dict[int, Played] = {}

        def done(index: int, played: Played) -> None:
            results[index] = played
            on_pair()

        while len(results) < len(tasks):
            self._give(waiting, tasks)
            busy = [worker for worker in self._workers if worker.index is not None]
            if not busy:  # none can be begun any more
                left = waiting.popleft()
                done(left, failed(tasks[left], "the processes that play it end at once"))
                continue
            ready = wait([worker.connection for worker in busy], LOOK_AGAIN)
            for worker in busy:
                # A process may be gone although its pipe is open: a child of it may hold the pipe.
                gone = worker.process.exitcode is not None
                if worker.connection not in ready and not gone:
                    continue
                index = worker.index
                assert index is not None
                try:
                    played = worker.take()
                except (EOFError, OSError):
                    self._workers.remove(worker)
                    self._false_starts += worker.played == 0
                    done(index, failed(tasks[index], worker.end()))
                else:
                    self._false_starts = 0
                    done(index, played)
        return [results[index] for index in range(len(tasks))]

    def _give(self, waiting: "deque[int]", tasks: Sequence[Task]) -> None:
        """Give tasks to the idle, and begin processes for what is left."""
        for worker in [worker for worker in self._workers if worker.index is None]:
            if not waiting:
                return
            if not worker.give(waiting[0], tasks[waiting[0]]):  # it died while it was idle
                self._workers.remove(worker)
                worker.end()
                continue
            waiting.popleft()
        while waiting and len(self._workers) < self._count and self._false_starts < FALSE_STARTS:
            with _undisturbed():
                worker = _begun(self._recipe)
                self._workers.append(worker)
            if worker.give(waiting[0], tasks[waiting[0]]):
                waiting.popleft()


@dataclass
class _Worker:
    process: BaseProcess
    connection: "Connection[Any, Any]"
    index: int | None = None  # of the task that it plays
    played: int = 0

    def give(self, index: int, task: Task) -> bool:
        """Whether the task could be given: a process that is gone takes none."""
        try:
            self.connection.send(task)
        except OSError:
            return False
        self.index = index
        return True

    def take(self) -> Played:
        """The result of the current task.

        Raises:
            EOFError, OSError: the process is gone.
            UsageError, RuntimeError: see ``Players.play``.
        """
        if not self.connection.poll():
            raise EOFError
        message = self.connection.recv()
        if isinstance(message, _Refused):
            raise (UsageError if message.usage else RuntimeError)(message.text)
        assert isinstance(message, Played)
        self.index, self.played = None, self.played + 1
        return message

    def end(self) -> str:
        """End it, however it takes it, and say how it ended."""
        self.connection.close()
        self.process.join(PATIENCE)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        code = self.process.exitcode or 0
        if code >= 0:
            return f"the process that played it ended with exit code {code}"
        with suppress(ValueError):
            return f"the process that played it was ended by {signal.Signals(-code).name}"
        return f"the process that played it was ended by signal {-code}"


@dataclass(frozen=True)
class _Refused:
    """What a process sends when it cannot go on."""

    text: str
    usage: bool


def failed(task: Task, problem: str) -> Played:
    """A pair of which nothing is known but why."""
    nan = float("nan")
    pair = Pair(task.seed, task.target_return, nan, nan, 0, 0, False, False, None, None, problem)
    return Played(pair, None, np.zeros(0))


def _begun(recipe: Recipe) -> _Worker:
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, recipe), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, mine)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C waits, and does not reach the process that is begun meanwhile.

    A terminal sends it to all processes, and one that is still importing would print a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(connection: "Connection[Any, Any]", recipe: Recipe) -> None:
    """What a process does: open both sides, then play what it is given until nobody asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)  # so that temporary files are removed
    threading.Thread(target=_watch_parent, daemon=True).start()
    try:
        sides = recipe.open()
        while True:
            task = connection.recv()
            connection.send(
                play_pair(sides, task.seed, task.target_return, task.traced, task.bound)
            )
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return
    except UsageError as error:
        connection.send(_Refused(str(error), usage=True))
    except Exception:  # a bug, to be shown where the user looks
        connection.send(_Refused(f"in a process of its own:\n{traceback.format_exc()}", False))


def _stop(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _watch_parent() -> None:
    """End with the process that began this one, however that one ends."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
