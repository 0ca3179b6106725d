"""``dt-export validate``."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from dt_export.cli.files import at_model, given
from dt_export.cli.options import (
    LAST_SEED,
    Artifact,
    Force,
    Provider,
    SameOverrides,
    complete_model,
)
from dt_export.cli.parameters import option, with_tables
from dt_export.errors import CheckError
from dt_export.options import Precision
from dt_export.process import terminal


@with_tables
def validate(
    artifact: Artifact,
    model: Annotated[
        str | None,
        option(
            "--model",
            "-m",
            help="The checkpoint to compare with.  [default: the one that the artifact names]",
            autocompletion=complete_model,
        ),
    ] = None,
    provider: Provider = "cpu",
    reference: Annotated[
        Literal["eager", "transformers"], option("--reference", help="What to compare with.")
    ] = "eager",
    seed: Annotated[
        int | None,
        option(
            "--seed",
            help="Seed of the inputs.  [default: new inputs every time]",
            low=0,
            high=LAST_SEED,
        ),
    ] = None,
    precision: Annotated[
        Precision | None,
        option(
            "--precision",
            help="The precision of the artifact. Others than fp32 have wider tolerances, which "
            "apply only if you ask for them here.  [default: the tolerance of fp32]",
        ),
    ] = None,
    json: Annotated[
        Path | None, option("--json", help="Write every comparison to this file.")
    ] = None,
    force: Force = False,
    *,
    overrides: SameOverrides,
) -> None:
    """Compare an artifact with its checkpoint. Exit code 0: equal, 1: not equal, 2: usage error.

    Example: `dt-export validate hopper.onnx --model hopper`
    """
    from dt_export.cli import show
    from dt_export.files.ours import is_report
    from dt_export.files.reports import write_report
    from dt_export.files.writing import Output, files_at
    from dt_export.validation import check
    from dt_export.validation.document import document
    from dt_export.validation.pairing import pair

    to = None
    if json is not None:
        inputs = (artifact, *given(overrides.stats), *at_model(model))
        to = Output(json, "--json", is_report, inputs, force)
        to.check()
    console = terminal.console()
    opened, checkpoint = pair(artifact, model, overrides, provider)
    if to is not None:
        to = replace(to, inputs=(*to.inputs, *files_at(checkpoint.path)))
        to.check()
    console.print(show.checkpoint(checkpoint))
    with show.cases(f"validating on {opened.provider}", console) as on_case:
        report = check(
            opened, checkpoint, seed=seed, reference_name=reference, precision=precision,
            on_case=on_case,
        )  # fmt: skip
    console.print(show.comparisons(report))
    console.print(show.verdict(report))
    if to is not None:
        written = document(report, artifact, opened.provider).to_json()
        write_report(written, to.path, inputs=to.inputs, force=force)
    if not report.passed:
        raise CheckError(f"{artifact} is not equal to {checkpoint.source.model}")
