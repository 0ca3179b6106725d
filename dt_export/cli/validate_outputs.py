"""What ``dt-export validate`` writes: asked for before minutes of work, written at the end."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from dt_export.process import command

if TYPE_CHECKING:
    from dt_export.checkpoints import Checkpoint
    from dt_export.cli.validate_tables import Files
    from dt_export.files.writing import Output
    from dt_export.validation import Report


class Times:
    """When the validation began, and what each of its parts took."""

    def __init__(self) -> None:
        self.begun = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        self.taken: dict[str, float] = {}

    @contextmanager
    def of(self, area: str) -> Iterator[None]:
        """Count what happens inside for this area, one of ``validation.checks.AREAS``."""
        begin = perf_counter()
        yield
        self.taken[area] = self.taken.get(area, 0.0) + perf_counter() - begin


class Outputs:
    """The files to write: asked for first, so that nothing fails after minutes of work."""

    def __init__(self, files: Files, inputs: tuple[Path, ...], force: bool):
        from dt_export.files.ours import is_junit, is_report
        from dt_export.files.writing import Output

        inputs += tuple(p for p in (files.golden, Path(files.trace or "")) if p and p.is_file())
        self.force, self.record, self.page = force, None, files.report
        self.times = Times()
        self.plain: dict[str, Output] = {}
        for name, path, ours in (("json", files.json, is_report), ("junit", files.junit, is_junit)):
            if path is not None:
                self.plain[name] = Output(path, f"--{name}", ours, inputs, force)
        self.inputs = inputs
        if files.record is not None:
            from dt_export.recording.filming import video_output

            self.record = video_output(files.record, inputs, force)
        self._check()

    def keep_off(self, checkpoint: Checkpoint) -> None:
        """Check again, now that the checkpoint's files are known."""
        from dt_export.files.writing import files_at

        self.inputs = (*self.inputs, *files_at(checkpoint.path))
        self.plain = {n: replace(to, inputs=self.inputs) for n, to in self.plain.items()}
        if self.record is not None:
            self.record = replace(self.record, inputs=self.inputs)
        self._check()

    def _check(self) -> None:
        for output in (*self.plain.values(), self.record):
            if output is not None:
                output.check()
        if self.page is not None:
            from dt_export.html.page import check

            check(self.page, self.inputs, self.force)

    def write(self, report: Report, artifact: Path, provider: str) -> None:
        """Write what was asked for, and tell GitHub where this runs there."""
        from dt_export.files.reports import write_report
        from dt_export.html.page import made, write_page
        from dt_export.validation.annotations import announce
        from dt_export.validation.diagnosis import diagnose
        from dt_export.validation.document import document
        from dt_export.validation.junit import junit, write_junit

        seconds = self.times.taken
        about = document(report, artifact, provider)
        same: dict[str, Any] = {"inputs": self.inputs, "force": self.force}
        if to := self.plain.get("json"):
            write_report(about.to_json(), to.path, **same)
        if to := self.plain.get("junit"):
            text = junit(about, seconds=seconds, timestamp=self.times.begun)
            write_junit(text, to.path, **same)
        if self.page is not None:
            how = made(artifact, _again(report.seed), f"{self.times.begun}Z")
            write_page(about, self.page, how, diagnosis=diagnose(report), **same)
        announce(about, sys.stdout)


def _again(seed: int) -> str:
    """The command that draws the same inputs again."""
    typed = ["dt-export", *command.typed.get()]
    if not any(word.split("=")[0] == "--seed" for word in typed):
        typed += ["--seed", str(seed)]
    return shlex.join(typed)
