"""Errors that callers may want to tell apart."""


class ArgumentError(ValueError):
    """You passed something that this artifact or this class cannot take.

    An option out of its range, another number of rows or slots, an environment of other spaces. It
    is a ``ValueError`` with a name of its own, so that a program can show its message to a user and
    let other ``ValueError`` s, which are bugs, through.
    """
