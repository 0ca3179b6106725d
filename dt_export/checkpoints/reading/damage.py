"""Files as strangers hand them over: one place turns what is wrong with them into one error."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dt_export.errors import CheckpointError, UsageError

LONGEST = 80  # characters of a text in a message
SHOWN = 6  # values of a container


def shown(value: Any, depth: int = 2) -> str:
    """A value for a message: of a length that fits there, and in time whatever it is."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, str):
        return repr(value if len(value) <= LONGEST else f"{value[:LONGEST]}...")
    if value is None or isinstance(value, int | float | complex):
        return repr(value)
    if hasattr(value, "shape"):
        return f"numbers of shape {list(value.shape)[:8]}"
    if not isinstance(value, list | tuple | dict | set):
        return type(value).__name__
    kind = "mapping" if isinstance(value, dict) else type(value).__name__
    if not depth or len(value) > SHOWN:
        return f"a {kind} of {len(value)}"
    if isinstance(value, dict):
        items = [f"{shown(key, 0)}: {shown(item, depth - 1)}" for key, item in value.items()]
        return f"{{{', '.join(items)}}}"
    inside = ", ".join(shown(item, depth - 1) for item in value)
    return f"[{inside}]" if isinstance(value, list) else f"({inside})"


@contextmanager
def damaged(path: Path, problem: str, remedy: str = "") -> Iterator[None]:
    """Whatever reading a file raises becomes one CheckpointError with the file and the cause.

    Only what takes bytes apart belongs inside: a mistake of ours would be blamed on the file.

    Args:
        problem: what the file then is, such as "cannot be read as JSON".
        remedy: what to do about it.
    """
    try:
        yield
    except UsageError:
        raise
    except MemoryError as error:
        raise CheckpointError(f"{path} {problem}: it asks for more memory than there is") from error
    except RecursionError as error:
        raise CheckpointError(f"{path} {problem}: it is nested too deeply") from error
    except Exception as error:
        raise CheckpointError(f"{path} {problem}: {cause(error)}{remedy}") from error


def cause(error: BaseException) -> str:
    """The first line of what an error says, or its class where it says nothing."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def check_file(path: Path, largest: int | None = None) -> None:
    """Refuse what cannot be read as a file: a folder, a pipe that would never end, a device.

    Args:
        largest: in bytes.

    Raises:
        CheckpointError: not a regular file, not to be looked at, or larger than ``largest``.
    """
    with damaged(path, "cannot be read"):
        found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, a socket or a device"
        raise CheckpointError(f"{path} is {kind}, expected a file")
    if largest is not None and found.st_size > largest:
        raise CheckpointError(
            f"{path} has {found.st_size} bytes, expected at most {largest} of such a file"
        )
