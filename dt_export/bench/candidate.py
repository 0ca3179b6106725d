"""One candidate of the comparison, and what it is made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dt_export.facts import Overrides

if TYPE_CHECKING:
    from dt_export.bench.cold import Program
    from dt_export.checkpoints import Checkpoint


@dataclass(frozen=True)
class Candidate:
    """Something that takes one control step at a full window.

    ``runs`` collects the nanoseconds of the engine's own runs inside a step. It is None where the
    step is nothing but the run. With ``own_clock``, ``step`` is another process's: it returns the
    nanoseconds that it took there, and what it takes to ask for it does not count.
    """

    step: Callable[[], Any]
    runs: list[int] | None = None
    file: Path | None = None
    cold: Program | None = None  # the same step in a fresh process, where there is a program for it
    own_clock: bool = False


@dataclass(frozen=True)
class Setting:
    """What candidates are made for: a checkpoint, rows per step, and where exports are kept."""

    checkpoint: Checkpoint
    exports: Exports
    batch: int = 1
    threads: int = 1
    overrides: Overrides = field(default_factory=Overrides)  # that the checkpoint was loaded with

    @property
    def length(self) -> int:
        """Timesteps of a full window."""
        length = self.checkpoint.facts.context_length
        assert length is not None  # `load` fills it in
        return length


class Exports:
    """Files made from one set of weights, each once. A failure is remembered too."""

    def __init__(self, folder: Path, on_export: Callable[[str], None] | None = None):
        self._folder, self._on_export = folder, on_export
        self._made: set[str] = set()
        self._failures: dict[str, Exception] = {}

    def made(self, name: str, make: Callable[[Path], object]) -> Path:
        """The file of that name; the first call for it runs ``make`` with its path.

        Raises:
            Exception: whatever ``make`` raised, in this call or in an earlier one.
        """
        path = self._folder / name
        if name in self._failures:
            raise self._failures[name]
        if name not in self._made:
            if self._on_export is not None:
                self._on_export(name)
            try:
                make(path)
            except Exception as error:
                self._failures[name] = error
                raise
            self._made.add(name)
        return path
