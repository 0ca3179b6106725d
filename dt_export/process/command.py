"""What the user typed, for messages and reports that repeat it."""

from contextvars import ContextVar

typed: ContextVar[tuple[str, ...]] = ContextVar("typed", default=())  # after the program's name
