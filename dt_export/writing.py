"""Files appear whole or not at all: written beside their place, then renamed."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dt_export.errors import UsageError


@contextmanager
def atomic(path: Path, flag: str, suffix: str | None = None) -> Iterator[Path]:
    """A temporary file beside ``path`` that becomes ``path`` if all goes well, else vanishes.

    Args:
        flag: the command line's name for the path, for messages.
        suffix: of the temporary file, where it differs from the path's. Where the file is gone at
            the end, something else has made ``path`` of it.

    Raises:
        UsageError: it cannot be written there.
    """
    check_place(path, flag)
    try:
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem}.", suffix=suffix or path.suffix, dir=path.parent
        )
    except OSError as error:
        raise UsageError(f"{flag} {path}: cannot write there: {error.strerror}") from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        if not temporary.exists():
            return
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files for the owner alone
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def check_place(path: Path, flag: str) -> None:
    """Raise UsageError unless ``path`` can be a file: worth asking before minutes of work."""
    if path.is_dir():
        raise UsageError(f"{flag} {path} is a folder, expected a file")
    if not path.parent.is_dir():
        raise UsageError(f"{flag} {path}: the folder {path.parent} does not exist")
