"""Ctrl-C and the like, at any moment: one line, an exit code, and nothing left behind.

A signal raises KeyboardInterrupt wherever Python happens to be, and not all code lets it through:
an exporter may take it for a failure of its own, an import may swallow it, and in a destructor
Python only prints it. So a signal is also remembered. Whatever surfaces afterwards is reported as
the interruption, and if nothing does, ``check`` raises it again before a file gets its name.

This module is imported before anything that takes time, so it imports little.
"""

import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ENDING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
SHOW_CURSOR = b"\x1b[?25h"  # a progress bar hides it


@dataclass
class _State:
    """Of this process, since signals are sent to processes."""

    watching: bool = False
    received: int | None = None
    held: int = 0  # depth of ``held``
    ending: bool = False
    temporaries: set[Path] = field(default_factory=set)


_state = _State()


def check() -> None:
    """Raise KeyboardInterrupt if a signal came that was swallowed."""
    if _state.received is not None and not _state.held:
        raise KeyboardInterrupt


def take() -> bool:
    """For a loop that Ctrl-C ends early: True if it may go on to its result, the signal forgotten.

    False after a termination, which ends the whole command.
    """
    if _state.received not in (None, signal.SIGINT):
        return False
    _state.received = None
    return True


@contextmanager
def held(then_raise: bool = True) -> Iterator[None]:
    """Let a signal wait until the body is done: for steps that belong together.

    Args:
        then_raise: raise it then; False while cleaning up, where an exception may be on its way.
    """
    _state.held += 1
    try:
        yield
    finally:
        _state.held -= 1
    if then_raise:
        check()


@contextmanager
def temporary_file(folder: Path, prefix: str, suffix: str) -> Iterator[Path]:
    """An empty file, removed at the end if it still has this name then."""
    path = _new_name(folder, prefix, suffix)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        yield path
    finally:
        _remove(path)


@contextmanager
def temporary_folder(folder: Path | None = None, prefix: str = "dt-export.") -> Iterator[Path]:
    """An empty folder, removed at the end with everything in it."""
    path = _new_name(folder or Path(tempfile.gettempdir()), prefix)
    try:
        path.mkdir(0o700)
        yield path
    finally:
        _remove(path)


@contextmanager
def reported(leave: bool = False) -> Iterator[None]:
    """Around a command: a signal ends it with one line and exit code 128 + its number.

    A second one ends the process at once; temporary files are removed even then. Signals that the
    caller ignores stay ignored, and its handlers are back when the body is done. Nested in another
    of these, or off the main thread, where no signals arrive, it does nothing.

    Args:
        leave: end an interrupted process here and now. Python kills itself by the signal if it
            met it inside an ``exec``, whoever caught it later, and then has no exit code.
    """
    if _state.watching or threading.current_thread() is not threading.main_thread():
        yield
        return
    default = {signal.SIG_DFL, signal.default_int_handler}
    before = {number: signal.getsignal(number) for number in ENDING}
    before = {number: handler for number, handler in before.items() if handler in default}
    hook, sys.unraisablehook = sys.unraisablehook, _unraisable(sys.unraisablehook)
    _state.watching, _state.received, _state.ending = True, None, False
    for number in before:
        signal.signal(number, _on_signal)
    try:
        try:
            yield
        finally:
            _state.ending = True  # from here on a signal only counts
    except BaseException:
        if _state.received is None:
            raise
    finally:
        if _state.received is not None:
            _clean_up()
            if leave:  # while signals only count: another one would show a traceback
                with suppress(OSError, ValueError, AttributeError):
                    sys.stdout.flush()
                os._exit(128 + _state.received)
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook, _state.watching = hook, False
        # Whoever goes on in this process begins anew.
        received, _state.received, _state.ending = _state.received, None, False
    if received is not None:
        raise SystemExit(128 + received) from None


def _new_name(folder: Path, prefix: str, suffix: str = "") -> Path:
    """A name that nothing has yet, to be removed at the end.

    It is remembered before the file exists: a second signal ends the process at once, and would
    leave behind a file that is not remembered yet.
    """
    path = folder / f"{prefix}{os.urandom(8).hex()}{suffix}"
    _state.temporaries.add(path)
    return path


def _on_signal(number: int, frame: Any) -> None:
    if _state.ending:
        _state.received = _state.received or number
        return
    if _state.received is not None:
        _clean_up()
        os._exit(128 + number)
    _state.received = number
    if not _state.held:
        raise KeyboardInterrupt


def _clean_up() -> None:
    for path in tuple(_state.temporaries):
        _remove(path)
    with suppress(OSError, ValueError):
        if sys.stdout.isatty():
            os.write(sys.stdout.fileno(), SHOW_CURSOR)
    with suppress(OSError, ValueError):
        what = "interrupted" if _state.received == signal.SIGINT else "terminated"
        print(what, file=sys.stderr, flush=True)


def _remove(path: Path) -> None:
    with held(then_raise=False):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        _state.temporaries.discard(path)


def _unraisable(before: Any) -> Any:
    def hook(unraisable: Any) -> None:
        if _state.received is None:  # else it is the interrupt, met in a destructor
            before(unraisable)

    return hook
