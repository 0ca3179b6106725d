"""One input: files below a folder, and the surface that is to read them."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Odd:
    """What stands in place of a file: ``link`` (to ``to``), ``fifo`` or ``folder``."""

    kind: str
    to: str = ""


Files = Mapping[str, bytes | Odd]


@dataclass(frozen=True)
class Case:
    """``arguments`` are plain JSON; surfaces take file names in them relative to the folder."""

    surface: str
    label: str  # which seed, and what was done to it
    files: Files = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes in all: of two inputs that show the same, the smaller one is kept."""
        sizes = (len(entry) for entry in self.files.values() if isinstance(entry, bytes))
        return sum(sizes) + len(json.dumps(self.arguments))


def lay_out(files: Files, folder: Path) -> None:
    """Write the files into an empty folder."""
    for name, entry in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(entry, bytes):
            path.write_bytes(entry)
        elif entry.kind == "link":
            path.symlink_to(entry.to)
        elif entry.kind == "fifo":
            os.mkfifo(path)
        else:
            path.mkdir(exist_ok=True)


def changed(files: Files, folder: Path) -> str | None:
    """What is no longer as it was laid out, or None."""
    seen = {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }
    kept = {name for name, entry in files.items() if entry != Odd("folder")}
    if seen != kept:
        return f"files {sorted(seen ^ kept)} came or went"
    for name, entry in files.items():
        if isinstance(entry, bytes) and (folder / name).read_bytes() != entry:
            return f"{name} was changed"
    return None


def save(case: Case, folder: Path) -> Path:
    """Keep a case so that ``read`` gives it back; ``folder`` is replaced."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    entries: dict[str, Any] = {}
    for number, (name, entry) in enumerate(case.files.items()):
        if isinstance(entry, bytes):
            kept = f"{number}-{Path(name).name}"
            (folder / kept).write_bytes(entry)
            entries[name] = kept
        else:
            entries[name] = [entry.kind, entry.to]
    document = dict(
        surface=case.surface, label=case.label, files=entries, arguments=dict(case.arguments)
    )
    (folder / "case.json").write_text(json.dumps(document, indent=1))
    return folder


def read(folder: Path) -> Case:
    document = json.loads((folder / "case.json").read_text())
    files = {
        name: Odd(*kept) if isinstance(kept, list) else (folder / kept).read_bytes()
        for name, kept in document["files"].items()
    }
    return Case(document["surface"], document["label"], files, document["arguments"])
