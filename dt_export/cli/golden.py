"""``dt-export golden``: record a short episode for every runtime, or replay one."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from dt_export.cli.files import given
from dt_export.cli.options import (
    LAST_SEED,
    Artifact,
    Force,
    Provider,
    SameOverrides,
    complete_model,
)
from dt_export.cli.parameters import option, with_tables
from dt_export.errors import CheckError, UsageError
from dt_export.facts import Overrides
from dt_export.process import terminal

SUFFIX = ".golden.json"
C_SUFFIX = "_test.c"


@with_tables
def golden(
    artifact: Artifact,
    output: Annotated[
        Path | None,
        option(
            "--output",
            "-o",
            help=f"Where to write.  [default: the artifact's name with {SUFFIX}, or with "
            f"{C_SUFFIX} for --c-test]",
        ),
    ] = None,
    recorded: Annotated[
        Path | None,
        option("--replay", help="Replay this recording on the artifact instead."),
    ] = None,
    model: Annotated[
        str | None,
        option(
            "--model",
            "-m",
            help="The checkpoint to record.  [default: the one that the artifact names]",
            autocompletion=complete_model,
        ),
    ] = None,
    seed: Annotated[int, option("--seed", help="Seed of the inputs.", low=0, high=LAST_SEED)] = 0,
    slots: Annotated[
        int | None,
        option(
            "--slots",
            help="For a step graph: how many staggered caches.  [default: 4, or the file's]",
            low=1,
            high=4096,
        ),
    ] = None,
    batch: Annotated[
        int | None,
        option(
            "--batch", help="Environments at once.  [default: 2, or the file's]", low=1, high=64
        ),
    ] = None,
    c_test: Annotated[
        bool,
        option(
            "--c-test",
            help="For a policy in C: write the episode as a C program that replays it on any "
            "processor.",
        ),
    ] = False,
    provider: Provider = "cpu",
    tolerance: Annotated[
        float | None,
        option(
            "--tolerance",
            help="With --replay: the largest error allowed in an action.  [default: the recorded "
            "one]",
            low=0.0,
            high=1e6,
        ),
    ] = None,
    force: Force = False,
    *,
    overrides: SameOverrides,
) -> None:
    """Record a golden episode (inputs, and eager PyTorch's actions for them), or replay one.

    Use it to test a runtime in any language. With --replay the exit code is 0 if the artifact
    reproduces the recording, and 1 if it does not. With --c-test the recording is a C program that
    replays itself, with the same exit codes.

    Example: `dt-export golden hopper.onnx`, then
    `dt-export golden hopper.onnx --replay hopper.golden.json`, or
    `dt-export golden hopper.c --c-test`, then `cc hopper_test.c -lm && ./a.out`
    """
    if recorded is None:
        if tolerance is not None:
            raise UsageError("--tolerance needs --replay and a recording")
        _record(artifact, output, model, overrides, seed, slots, batch, c_test, force)
        return
    chosen = {
        "--output": output,
        "--model": model,
        "--slots": slots,
        "--batch": batch,
        "--c-test": c_test or None,
    }
    for flag, value in chosen.items():
        if value is not None:
            raise UsageError(f"{flag} is for a new recording: drop it, or drop --replay")
    _replay(artifact, recorded, tolerance, provider)


def _record(
    artifact: Path,
    output: Path | None,
    model: str | None,
    overrides: Overrides,
    seed: int,
    slots: int | None,
    batch: int | None,
    c_test: bool,
    force: bool,
) -> None:
    from dt_export.cli import show
    from dt_export.files.ours import is_artifact, is_report
    from dt_export.files.writing import Output, atomic, files_at
    from dt_export.targets.c.replay import check, replay
    from dt_export.validation import golden
    from dt_export.validation.pairing import pair

    path = Path(f"{artifact.stem}{C_SUFFIX if c_test else SUFFIX}") if output is None else output
    if c_test:
        check(artifact, path)
    ours = is_artifact if c_test else is_report
    to = Output(path, "--output", ours, (artifact, *given(overrides.stats)), force)
    to.check()
    console = terminal.console()
    opened, checkpoint = pair(artifact, model, overrides, "cpu")
    to = replace(to, inputs=(*to.inputs, *files_at(checkpoint.path)))
    to.check()
    console.print(show.checkpoint(checkpoint))
    made = golden.record(checkpoint, opened.contract, seed=seed, slots=slots, batch_size=batch)
    text = made.to_json()
    if c_test:
        text = replay(made, opened.contract, checkpoint, artifact, path)
    with atomic(to) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    console.print(show.recorded(made, path, artifact), soft_wrap=True)


def _replay(artifact: Path, recorded: Path, tolerance: float | None, provider: str) -> None:
    from dt_runtime import ArgumentError
    from dt_runtime.golden import Golden, GoldenError, replay

    from dt_export.cli import show
    from dt_export.targets import open_artifact

    if not recorded.is_file():
        raise UsageError(f"--replay {recorded}: no such file; record one with `dt-export golden`")
    try:
        episode = Golden.read(recorded)
        # The engine, not a policy: a recording of another graph then fails by that name.
        result = replay(open_artifact(artifact, provider).engine, episode, tolerance=tolerance)
    except GoldenError as error:
        raise UsageError(terminal.one_line(str(error))) from None
    except ArgumentError as error:
        raise UsageError(terminal.one_line(f"{artifact}: {error}")) from None
    terminal.console().print(show.replayed(result, episode))
    if not result.passed:
        raise CheckError(f"{artifact} does not reproduce {recorded}")
