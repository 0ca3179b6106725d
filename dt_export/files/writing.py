"""Where commands write: never over their own inputs, nor over files of others without --force.

A file appears whole or not at all: it is written under a temporary name, then renamed.
"""

import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dt_export.errors import UsageError
from dt_export.files.ours import OURS
from dt_export.process import interrupts

# What loaders read next to a file with weights.
BESIDE = (
    "config.json",
    "config.yaml",
    "params.json",
    "policy.json",
    "state_mean.npy",
    "state_std.npy",
)
SYSTEM = (Path("/dev"), Path("/proc"), Path("/sys"))  # nothing there is a user's file
MEMORY = Path("/dev/shm")  # except here


@dataclass(frozen=True)
class Output:
    """A file that a command will write.

    Args:
        flag: the command line's name for the path, for messages.
        ours: whether a file is an earlier output of this kind, which may be replaced.
        inputs: files that the command reads; these are never replaced.
        force: replace a file that is not ours.
    """

    path: Path
    flag: str
    ours: Callable[[Path], bool]
    inputs: tuple[Path, ...] = ()
    force: bool = False

    def check(self) -> None:
        """Ask whether the file may be written, before minutes of work.

        Raises:
            UsageError: it is a folder or a device, its folder does not exist or cannot be written
                to, it is one of the inputs, or it exists and is not ours.
        """
        path, what = self.path, f"{self.flag} {self.path}"
        if path.is_dir():
            raise UsageError(f"{what} is a folder, expected a file")
        if not path.parent.is_dir():
            raise UsageError(f"{what}: the folder {path.parent} does not exist")
        folder = path.parent.resolve()
        system = any(folder.is_relative_to(place) for place in SYSTEM)
        if system and not folder.is_relative_to(MEMORY):
            raise UsageError(f"{what} is a device, expected a file")
        if not os.access(folder, os.W_OK):
            raise UsageError(f"{what}: cannot write there: permission denied")
        for given in self.inputs:
            if _same(path, given) or _place(path) == _place(given):
                also = "" if given == path else f", the same file as {given}"
                raise UsageError(
                    f"{what} is what this command reads{also}: choose another name with {self.flag}"
                )
        if not os.path.lexists(path):
            return
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"{what} is a device or a pipe, expected a file")
        if not self.force and not self.ours(path):
            raise UsageError(
                f"{what} exists, and dt-export did not write it: choose another name with "
                f"{self.flag}, or replace it with --force"
            )


@contextmanager
def atomic(output: Output) -> Iterator[Path]:
    """A temporary file next to the output that takes its name if all goes well, else vanishes.

    Raises:
        UsageError: it may not or cannot be written there.
        OSError: the disk is full, or the folder is gone.
    """
    output.check()
    path = output.path
    with _naming(output), interrupts.temporary_file(
        path.parent, f".{path.stem}.", path.suffix
    ) as temporary:  # fmt: skip
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # it was made for the owner alone
        interrupts.check()
        output.check()  # another file may have taken the name meanwhile
        with interrupts.held():
            temporary.replace(path)


@contextmanager
def together(outputs: Sequence[Output]) -> Iterator[Path]:
    """A temporary folder: what is in it under the outputs' names becomes them, all or none.

    It lies beside the first output, so that moving is but a change of name. The first output comes
    last: who sees it finds the others.

    Raises:
        UsageError: one of them may not or cannot be written there.
        OSError: the disk is full, or the folder is gone.
    """
    for output in outputs:
        output.check()
    first = outputs[0].path
    with _naming(outputs[0]), interrupts.temporary_folder(
        first.parent, f".{first.stem}."
    ) as folder:  # fmt: skip
        yield folder
        interrupts.check()
        for output in outputs:
            output.check()
        with interrupts.held():
            _move_all(folder, outputs)


def _move_all(folder: Path, outputs: Sequence[Output]) -> None:
    """Give every file in the folder its output's path; all are as before if one cannot move."""
    undo: list[tuple[Path, Path | None]] = []  # (moved, a copy of what was there before)
    try:
        for output in reversed(outputs):
            path, before = output.path, None
            if path.exists() and output is not outputs[0]:  # the last to move needs no way back
                before = folder / f"{path.name}.before"
                shutil.copy2(path, before)
            (folder / path.name).replace(path)
            undo.append((path, before))
    except OSError:
        for path, before in undo:
            if before is None:
                path.unlink()
            else:
                before.replace(path)
        raise


def distinct(outputs: Iterable[Output]) -> None:
    """Raise UsageError if two outputs of a command are the same file."""
    seen: list[Output] = []
    for output in outputs:
        for other in seen:
            if _same(output.path, other.path) or _place(output.path) == _place(other.path):
                raise UsageError(
                    f"{output.flag} {output.path} and {other.flag} {other.path} are the same file"
                )
        seen.append(output)


def files_at(path: Path) -> tuple[Path, ...]:
    """The files that belong to a checkpoint at ``path``, which no command may write.

    That includes files that a loader would read if they were there: creating one would change the
    checkpoint. Of a folder, these are all files directly in it, except what dt-export wrote there.
    """
    if path.is_dir():
        files = (file for file in path.iterdir() if file.is_file())
        others = (file for file in files if not any(ours(file) for ours in OURS))
        return (*others, *(path / name for name in BESIDE))
    return (path, *(path.parent / name for name in BESIDE))


def _same(path: Path, other: Path) -> bool:
    """Whether both names lead to one file."""
    with suppress(OSError):
        return path.samefile(other)
    return False


def _place(path: Path) -> Path:
    return path.parent.resolve() / path.name


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


@contextmanager
def _naming(output: Output) -> Iterator[None]:
    """Make the system's errors name the output; a full disk names no file."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(output.path)
        raise
