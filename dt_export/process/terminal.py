"""What reaches the terminal: text as it is, never markup and never a command to the terminal.

Paths, names, contracts and messages come from outside. This module alone makes sure that a control
character in them is shown and not obeyed.
"""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from rich.console import Console, RenderableType
from rich.segment import Segment

# C0 except newline and tab, DEL, C1, characters that reverse the direction of text or are
# invisible, and those that some terminals take for the end of a line.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)
_IN_ASCII = {ord("±"): "+-", ord("…"): "...", ord("•"): "*"}
WIDTH = 120  # at least, if the output goes to a file or a pipe


def printable(text: str) -> str:
    r"""The text with control characters spelled out, ``\x1b`` for an escape."""
    return _CONTROL.sub(_spelled, text)


def one_line(text: str) -> str:
    """``printable`` text that cannot begin a line of its own: for values that a file names."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def _spelled(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


class PlainConsole(Console):
    """A console that prints strings literally and spells out control characters."""

    def __init__(self, **options: Any):
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def print(self, *objects: Any, **options: Any) -> None:
        # A Text drops some control characters, so spell them out before strings become one.
        super().print(*(printable(o) if isinstance(o, str) else o for o in objects), **options)

    def render(self, renderable: RenderableType, options: Any = None) -> Iterable[Segment]:
        narrow = not self.encoding.lower().startswith("utf")
        for segment in super().render(renderable, options):
            if segment.control is None:
                text = printable(segment.text)
                text = text.translate(_IN_ASCII) if narrow else text
                segment = Segment(text, segment.style)
            yield segment


def console(stderr: bool = False, soft_wrap: bool = False) -> Console:
    """A console that does not colour numbers and paths, and is wide enough when piped."""
    made = PlainConsole(stderr=stderr, soft_wrap=soft_wrap)
    if made.is_terminal:
        return made
    return PlainConsole(stderr=stderr, soft_wrap=soft_wrap, width=max(made.width, WIDTH))


@contextmanager
def any_encoding() -> Iterator[None]:
    """Spell out characters that the terminal's encoding lacks, instead of failing."""
    stream, before = sys.stdout, getattr(sys.stdout, "errors", None)
    if not hasattr(stream, "reconfigure"):
        yield
        return
    stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        with suppress(OSError, ValueError):
            stream.reconfigure(errors=before)


def flush() -> None:
    """Write out what is still buffered, so that a full disk is noticed here.

    Raises:
        OSError: it cannot be written.
    """
    if sys.stdout is not None:
        sys.stdout.flush()


def give_up() -> None:
    """Discard what is still buffered, or the interpreter complains when it ends."""
    with suppress(OSError, ValueError, AttributeError):
        number, nowhere = sys.stdout.fileno(), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
