"""Golden episodes: what was recorded, and what came of a replay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from dt_export.cli.show.exported import shell_word
from dt_export.process.terminal import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from dt_runtime.golden import Golden, Replay

    from dt_export.validation import Report


def recorded(golden: Golden, path: Path, artifact: Path) -> RenderableType:
    """What was written and how to replay it."""
    acts = sum(event.act is not None for event in golden.events)
    count = golden.options.slots
    slots = "" if count is None else f", {count} slot{'s' * (count > 1)}"
    file, recording = shell_word(str(artifact)), shell_word(str(path))
    command = f"dt-export golden {file} --replay {recording}"
    if path.suffix == ".c":
        program = shell_word(str(path.with_suffix("")))
        command = f"cc -O2 {recording} -o {program} -lm"
    return Group(
        Text.assemble("wrote ", (str(path), "bold")),
        Text(
            f"{acts} steps of {golden.options.batch_size} environments{slots}, seed {golden.seed}, "
            f"tolerance {golden.tolerance:.2g}"
        ),
        Text("next:"),
        Text(f"  {command}", style="cyan"),
    )


def golden_result(report: Report) -> RenderableType:
    """What a golden episode says in a validation; nothing where there is none."""
    result = report.golden
    if result is None:
        return Group()
    what = f"worst error {result.max_abs_error:.1e}, tolerance {result.tolerance:.1e}"
    if result.passed:
        return Text(f"golden episode: equal, {what} ({result.acts} steps)", style="green")
    lines = [Text(f"golden episode: NOT equal, {what} ({result.acts} steps)", "bold red")]
    if result.first_mismatch is not None:
        lines.append(Text(f"first of {result.mismatches}: ", "red"))
        lines[-1].append(one_line(result.first_mismatch))
    return Group(*lines)


def replayed(replay: Replay, golden: Golden) -> RenderableType:
    """Whether the replay equals the recording, and the first difference."""
    against = f"({replay.acts} steps, seed {golden.seed})"
    worst = f"worst error {replay.max_abs_error:.1e}, tolerance {replay.tolerance:.1e}"
    if replay.passed:
        return Text(f"equal to the recording: {worst} {against}", style="green")
    lines = [Text(f"NOT equal to the recording: {worst} {against}", "bold red")]
    if replay.first_mismatch is not None:
        lines.append(Text(f"first of {replay.mismatches}: ", "red"))
        lines[-1].append(one_line(str(replay.first_mismatch)))
    return Group(*lines)
