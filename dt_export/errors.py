"""The two kinds of failure a command reports; anything else is a bug and shows a traceback."""

LONGEST = 2000  # characters of a message: names in it come from files, and may be of any length


class UsageError(Exception):
    """Something that you passed cannot be used: exit code 2."""

    def __init__(self, message: str):
        half = LONGEST // 2
        cut = len(message) > LONGEST
        super().__init__(f"{message[:half]} [...] {message[-half:]}" if cut else message)


class CheckpointError(UsageError):
    """A checkpoint cannot be found, read or understood: exit code 2."""


class CheckError(Exception):
    """A check ran and failed: exit code 1."""
