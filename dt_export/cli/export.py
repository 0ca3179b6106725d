"""What the commands of all targets have in common: load, export, print."""

from dataclasses import replace
from pathlib import Path

from dt_export.cli.files import given
from dt_export.facts import Overrides, as_flags
from dt_export.options import Options
from dt_export.process import terminal


def run_export(
    target: str,
    model: str,
    output: Path | None,
    options: Options,
    overrides: Overrides,
    force: bool,
) -> None:
    """Load, export, validate and print what was written and what to run next."""
    from dt_export import checkpoints
    from dt_export.cli import show
    from dt_export.exporting import ValidationFailedError, export
    from dt_export.graphs import graph_named
    from dt_export.targets import TARGETS

    console = terminal.console()
    checkpoint = checkpoints.load(model, overrides, backbone=graph_named(options.graph).of_backbone)
    console.print(show.checkpoint(checkpoint))
    if note := TARGETS[target].note:
        console.print(f"note: {note}", style="dim")
    options = replace(options, environment=overrides.environment)
    try:
        with show.cases(f"exporting to {target}", console) as on_case:
            artifact, report = export(
                checkpoint, target, output, on_case=on_case, force=force,
                inputs=given(overrides.stats), **vars(options),
            )  # fmt: skip
    except ValidationFailedError as error:
        console.print(show.comparisons(error.report))
        console.print(show.verdict(error.report))
        raise
    if report is not None:
        console.print(show.comparisons(report))
    if options.static_length is not None:  # the file's K is no longer the checkpoint's
        overrides = replace(overrides, context_length=artifact.contract.context_length)
    console.print(
        show.exported(artifact, report, model, as_flags(overrides), overrides.environment),
        soft_wrap=True,
    )
