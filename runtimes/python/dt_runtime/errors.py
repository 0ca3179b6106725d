"""Errors that callers may want to tell apart."""


class ArgumentError(ValueError):
    """You passed something that this artifact or this class cannot take.

    For example an option out of range, a wrong number of rows or slots, or an environment with
    other spaces. It is a subclass of ``ValueError``, so that a program can show this message to its
    user and treat any other ``ValueError`` as a bug.
    """
