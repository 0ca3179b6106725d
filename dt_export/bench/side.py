"""One side of the comparison, and what it is made from."""

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
class Side:
    """Something that takes one control step at a full window.

    ``runs`` is where the engine's own runs inside a step leave their nanoseconds; None where a
    step is nothing but the run.
    """

    step: Callable[[], object]
    runs: list[int] | None = None
    file: Path | None = None
    cold: Program | None = None  # the same from a fresh process, where that can be had


@dataclass(frozen=True)
class Setting:
    """What sides are made for: a checkpoint, how many rows at once, and where exports are kept."""

    checkpoint: Checkpoint
    exports: Exports
    batch: int = 1
    threads: int = 1
    overrides: Overrides = field(default_factory=Overrides)  # those the checkpoint was loaded with

    @property
    def length(self) -> int:
        """Timesteps of a full window."""
        return self.checkpoint.facts.context_length


class Exports:
    """Files made from one set of weights, each once; a failure is remembered too."""

    def __init__(self, folder: Path, on_export: Callable[[str], None] | None = None):
        self._folder, self._on_export = folder, on_export
        self._failures: dict[str, Exception] = {}
        self._made: dict[str, Any] = {}

    def made(self, name: str, make: Callable[[Path], object]) -> Path:
        """The file of that name; ``make`` writes it when it is asked for the first time."""
        path = self._folder / name
        if name in self._failures:
            raise self._failures[name]
        if name not in self._made:
            if self._on_export is not None:
                self._on_export(name)
            try:
                self._made[name] = make(path)
            except Exception as error:
                self._failures[name] = error
                raise
        return path
