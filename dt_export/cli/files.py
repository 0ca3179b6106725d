"""Which files a command reads, so that it writes over none of them."""

from contextlib import suppress
from pathlib import Path


def given(*paths: Path | None) -> tuple[Path, ...]:
    """The paths that the user gave."""
    return tuple(path for path in paths if path is not None)


def at_model(model: str | None) -> tuple[Path, ...]:
    """The files of a model that is named by its place on this disk."""
    from dt_export.files.writing import files_at

    with suppress(OSError, RuntimeError):  # no such user, and the like: loading reports it
        path = Path(model or "").expanduser()
        return files_at(path) if model and path.exists() else ()
    return ()
