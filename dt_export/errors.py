"""The two ways a command ends badly; everything else is a bug and shows its traceback."""


class UsageError(Exception):
    """Something given by the user cannot be used: exit code 2."""


class CheckpointError(UsageError):
    """A checkpoint cannot be found, read or understood: exit code 2."""


class CheckError(Exception):
    """A check ran and said no: exit code 1."""
