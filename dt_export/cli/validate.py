"""``dt-export validate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

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
from dt_export.cli.validate_outputs import Outputs
from dt_export.cli.validate_tables import Files, Loop
from dt_export.cli.validate_tables import check as check_tables
from dt_export.errors import CheckError
from dt_export.options import Precision
from dt_export.process import terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from dt_export.checkpoints import Checkpoint
    from dt_export.files.writing import Output
    from dt_export.targets import Opened
    from dt_export.validation import Report


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
            help="Seed of the drawn inputs.  [default: new inputs every time]",
            low=0,
            high=LAST_SEED,
        ),
    ] = None,
    precision: Annotated[
        Precision | None,
        option(
            "--precision",
            help="The precision of the artifact. Others than fp32 round more, which is allowed "
            "only if you say so here.  [default: fp32]",
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        option(
            "--tolerance",
            help="The largest error allowed, relative to the output's scale.  [default: a small "
            "multiple of the model's own rounding]",
            low=0.0,
            high=1e6,
        ),
    ] = None,
    force: Force = False,
    *,
    loop: Loop,
    files: Files,
    overrides: SameOverrides,
) -> None:
    """Compare an artifact with its checkpoint.

    Exit code 0: passed, 1: failed or undecided, 2: usage error.

    Example: `dt-export validate hopper.onnx --model hopper`, or with episodes
    `dt-export validate hopper.onnx --model hopper --env Hopper-v5 --report report.html`
    """
    from dt_export.cli import show
    from dt_export.validating import played, replayed, traced
    from dt_export.validation import check
    from dt_export.validation.paired import parse_allowed
    from dt_export.validation.pairing import pair

    allowed, targets = parse_allowed(loop.allowed), loop.targets
    check_tables(loop, files)
    outputs = Outputs(files, (artifact, *given(overrides.stats), *at_model(model)), force)
    console = terminal.console()
    opened, checkpoint = pair(artifact, model, overrides, provider)
    outputs.keep_off(checkpoint)
    # Asked before minutes of comparing: the environment, and a renderer with it.
    if outputs.record is not None:
        from dt_export.recording.offscreen import check_rendering

        check_rendering(_rendering(loop), loop.env or "")
    elif loop.env is not None:
        from dt_export.evaluation.environment import make_environment

        make_environment(loop.env).close()
    console.print(show.checkpoint(checkpoint))
    times = outputs.times
    with times.of("open loop"), show.cases(f"validating on {opened.provider}", console) as on_case:
        report = check(
            opened, checkpoint, seed=seed, reference_name=reference, precision=precision,
            tolerance=tolerance, targets=targets, on_case=on_case,
        )  # fmt: skip
    console.print(show.comparisons(report))
    if files.golden is not None:
        with times.of("golden"):
            report = replayed(report, opened, files.golden)
        console.print(show.golden_result(report))
    if files.trace is not None and report.comparable:
        with times.of("trace"), show.cases("replaying the trace", console) as on_case:
            report = traced(
                report, opened, checkpoint, files.trace, episodes=loop.episodes, on_episode=on_case
            )
        console.print(show.trace_result(report))
    if loop.env is not None and report.comparable:
        with times.of("closed loop"), show.cases(f"playing in {loop.env}", console) as on_case:
            report = played(
                report, opened, checkpoint, artifact=artifact, model=model, overrides=overrides,
                provider=provider, environment=loop.env, episodes=loop.episodes,
                target_returns=targets or None, allowed=allowed, until_sure=loop.until_sure,
                workers=loop.workers, seed=loop.first_seed, on_episode=on_case,
            )  # fmt: skip
        console.print(show.played(report))
        if outputs.record is not None:
            _record(outputs.record, opened, checkpoint, loop, targets)
            console.print(show.video(outputs.record.path))
    console.print(show.diagnosis(report))
    console.print(show.verdict(report))
    outputs.write(report, artifact, opened.provider)
    if not report.passed:
        raise CheckError(_failure(report, artifact, checkpoint))


def _failure(report: Report, artifact: Path, checkpoint: Checkpoint) -> str:
    """The last line of a validation that did not pass."""
    if not report.equal:
        return f"{artifact} is not equal to {checkpoint.source.model}"
    parts = {"golden episode": report.golden, "trace": report.trace}
    wrong = [name for name, part in parts.items() if part is not None and not part.passed]
    if wrong:
        return f"{artifact} does not reproduce the {' and the '.join(wrong)}"
    loop = report.closed_loop
    if loop is not None and loop.undecided:
        return f"{artifact}: the closed loop is undecided, which is no pass"
    return f"{artifact} does not earn what {checkpoint.source.model} earns"


def _record(
    output: Output,
    opened: Opened,
    checkpoint: Checkpoint,
    loop: Loop,
    targets: tuple[float, ...],
) -> None:
    """Eager PyTorch beside the artifact: the same seed and target."""
    from dt_runtime import Policy

    from dt_export.recording.filming import Side, record_side_by_side
    from dt_export.validation.eager_policy import EagerPolicy

    target = targets[0] if targets else None
    eager: Any = EagerPolicy(checkpoint, opened.contract)
    sides = [
        Side("eager PyTorch", eager, target),
        Side("the artifact", Policy(opened.engine), target),
    ]

    record_side_by_side(output, sides, _rendering(loop), loop.env or "", seed=loop.first_seed)


def _rendering(loop: Loop) -> Callable[[str], Any]:
    """Makes the environment in a render mode."""
    from dt_export.evaluation.environment import make_environment

    return lambda mode: make_environment(loop.env, render_mode=mode)
