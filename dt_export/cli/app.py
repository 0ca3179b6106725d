"""The command line: parse, call one function, print. Heavy imports wait inside the commands."""

import os
import re
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from dt_export.checkpoints.presets import PRESETS
from dt_export.errors import CheckError, UsageError
from dt_export.facts import Overrides, as_flags
from dt_export.process import interrupts, terminal
from dt_export.version import __version__

app = typer.Typer(
    name="dt-export",
    help="Export Decision Transformers, prove them equal to PyTorch, and run them.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# What Typer raises for a flag that does not exist and the like; which package has the class depends
# on its version.
(WrongUsage,) = (c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
COMPLETION = "_DT_EXPORT_COMPLETE"  # in the environment while a shell completes a command
BROKEN_PIPE = 141  # what shells make of SIGPIPE
LARGEST_FLOAT = 3.4e38  # of float32, in which networks count
MOST_THREADS = max(64, 4 * (os.cpu_count() or 1))
MOST_STEPS = 1_000_000
SEEDS = 2**32 - 1

with_traceback: ContextVar[bool] = ContextVar("with_traceback", default=False)


def complete_model(incomplete: str) -> list[str]:
    return [name for name in PRESETS if name.startswith(incomplete)]


def between(low: float, high: float) -> Callable[[typer.CallbackParam, Any], Any]:
    """A check of an option's value, which also refuses what is no number."""

    def check(param: typer.CallbackParam, value: Any) -> Any:
        if value is not None and not low <= value <= high:
            raise UsageError(f"{param.opts[0]} is {value}, expected {low} to {high}")
        return value

    return check


def slot_count(value: str | None) -> int | str | None:
    """The number of slots, or the word that it is no number."""
    return int(value) if value is not None and re.fullmatch("-?[0-9]{1,9}", value) else value


Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="A preset (see `models`), a local directory or file, or a Hugging Face id.",
        autocompletion=complete_model,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Where to write.  [default: named after the model]"),
]
Graph = Annotated[
    Literal["policy", "step", "sequence", "backbone"],
    typer.Option(
        help="policy: raw observations in, raw action out. step: the same with cached keys and "
        "values, for control loops. sequence: the bare network. backbone: the transformer alone, "
        "with a cache."
    ),
]
Outputs = Annotated[
    str | None,
    typer.Option(
        help="Outputs of a sequence graph, by commas: state_preds, action_preds, return_preds, "
        "last_hidden_state, hidden_states, attentions.  [default: the first three]"
    ),
]
Sample = Annotated[
    bool, typer.Option("--sample", help="Put out mu and log_std of a stochastic policy too.")
]
Validate = Annotated[
    bool, typer.Option(help="Compare with eager PyTorch before the file gets its name.")
]
Artifact = Annotated[Path, typer.Argument(help="An exported file.", show_default=False)]
Provider = Annotated[
    Literal["cpu", "cuda", "tensorrt", "auto"],
    typer.Option(help="Execution provider of ONNX Runtime."),
]

Precision = Annotated[
    Literal["fp32", "fp16", "int8"],
    typer.Option(
        help="fp16 is for CUDA, int8 (weights) for the CPU; both of --graph policy or step, and "
        "both must earn the return of fp32."
    ),
]
Format = Annotated[
    Literal["onnx", "ort"],
    typer.Option(
        help="ort: ONNX Runtime's own format, which its minimal builds read; the list of operators "
        "that such a build needs is written beside it."
    ),
]
Episodes = Annotated[
    int,
    typer.Option(
        help="Seeds that fp16 and int8 play against fp32 before they pass, 0 for none.",
        callback=between(0, MOST_STEPS),
    ),
]
StaticBatch = Annotated[
    int | None, typer.Option(help="Fix the batch size, for engines that need it.")
]
StaticLength = Annotated[
    int | None,
    typer.Option(help="Fix the window's length; shorter ones are padded."),
]
Force = Annotated[
    bool, typer.Option("--force", help="Replace a file that dt-export did not write.")
]

FACTS = "Facts that a checkpoint may not carry"


def _fact(*names: str, help: str, callback: Callable[..., Any] | None = None) -> object:
    return typer.Option(
        *names, help=help, callback=callback, rich_help_panel=FACTS, show_default=False
    )


ContextLength = Annotated[int | None, _fact("--context-length", help="K, in timesteps.")]
NHead = Annotated[int | None, _fact("--n-head", help="Attention heads.")]
Activation = Annotated[str | None, _fact("--activation", help="relu, gelu, gelu_new, silu, tanh.")]
ActionTanh = Annotated[
    bool | None, _fact("--action-tanh/--no-action-tanh", help="Whether actions go through tanh.")
]
Discrete = Annotated[
    bool | None, _fact("--discrete/--no-discrete", help="Whether actions are choices, not numbers.")
]
Returns = Annotated[
    bool | None,
    _fact("--returns/--no-returns", help="Whether it is conditioned on returns (atari: naive)."),
]
Stats = Annotated[
    Path | None,
    _fact("--stats", help=".npz with mean and std, or .json with state_mean and state_std."),
]
ReturnScale = Annotated[
    float | None,
    _fact("--return-scale", help="What raw returns are divided by.", callback=between(1e-30, 1e30)),
]
TargetReturn = Annotated[
    float | None,
    _fact(
        "--target-return",
        help="The raw return to ask for by default.",
        callback=between(-LARGEST_FLOAT, LARGEST_FLOAT),
    ),
]
Env = Annotated[str | None, _fact("--env", help="The Gymnasium environment it was made for.")]
Revision = Annotated[
    str | None, _fact("--revision", help="Branch, tag or commit of a Hugging Face repository.")
]


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    traceback: Annotated[bool, typer.Option("--traceback", hidden=True)] = False,
) -> None:
    with_traceback.set(traceback)  # of a user's mistakes too
    if version:
        print(f"dt-export {__version__}")
        raise typer.Exit


@app.command()
def onnx(
    model: Model = "hopper",
    output: Output = None,
    graph: Graph = "policy",
    outputs: Outputs = None,
    sample: Sample = False,
    opset: Annotated[
        int, typer.Option(help="ONNX opset, 20 to 23.", callback=between(20, 23))
    ] = 20,
    precision: Precision = "fp32",
    format: Format = "onnx",
    episodes: Episodes = 20,
    static_batch: StaticBatch = None,
    static_length: StaticLength = None,
    validate: Validate = True,
    force: Force = False,
    context_length: ContextLength = None,
    n_head: NHead = None,
    activation: Activation = None,
    action_tanh: ActionTanh = None,
    discrete: Discrete = None,
    returns: Returns = None,
    stats: Stats = None,
    return_scale: ReturnScale = None,
    target_return: TargetReturn = None,
    env: Env = None,
    revision: Revision = None,
) -> None:
    """Export to ONNX and prove the file equal to eager PyTorch.

    Example: `dt-export onnx --model hopper`
    """
    overrides = Overrides(
        context_length, n_head, activation, action_tanh, discrete, returns, stats, return_scale,
        target_return, env, revision,
    )  # fmt: skip
    _export(
        "onnx", model, overrides, output, graph, outputs, sample, validate, force, opset=opset,
        precision=precision, format=format, episodes=episodes, static_batch=static_batch,
        static_length=static_length,
    )  # fmt: skip


@app.command()
def torchscript(
    model: Model = "hopper",
    output: Output = None,
    graph: Graph = "policy",
    outputs: Outputs = None,
    sample: Sample = False,
    validate: Validate = True,
    force: Force = False,
    context_length: ContextLength = None,
    n_head: NHead = None,
    activation: Activation = None,
    action_tanh: ActionTanh = None,
    discrete: Discrete = None,
    returns: Returns = None,
    stats: Stats = None,
    return_scale: ReturnScale = None,
    target_return: TargetReturn = None,
    env: Env = None,
    revision: Revision = None,
) -> None:
    """Export to TorchScript (deprecated by PyTorch) and prove the file equal to eager PyTorch.

    Example: `dt-export torchscript --model hopper`
    """
    overrides = Overrides(
        context_length, n_head, activation, action_tanh, discrete, returns, stats, return_scale,
        target_return, env, revision,
    )  # fmt: skip
    _export("torchscript", model, overrides, output, graph, outputs, sample, validate, force)


def _export(
    target: str,
    model: str,
    overrides: Overrides,
    output: Path | None,
    graph: str,
    outputs: str | None,
    sample: bool,
    validate: bool,
    force: bool,
    **options: object,
) -> None:
    from dt_export import checkpoints
    from dt_export.cli import screen
    from dt_export.exporting import ValidationFailedError, export
    from dt_export.targets import TARGETS

    console = terminal.console()
    checkpoint = checkpoints.load(model, overrides, backbone=graph == "backbone")
    console.print(screen.checkpoint_lines(checkpoint))
    if note := TARGETS[target].NOTE:
        console.print(f"note: {note}", style="dim")
    names = tuple(name.strip() for name in (outputs or "").split(",") if name.strip())
    try:
        with screen.progress(f"exporting to {target}", console) as on_case:
            artifact, report = export(
                checkpoint, target, output, graph=graph, outputs=names, sample=sample,
                validate=validate, environment=overrides.environment, on_case=on_case,
                force=force, inputs=_given(overrides.stats), **options,
            )  # fmt: skip
    except ValidationFailedError as error:
        console.print(screen.parity_table(error.report))
        console.print(screen.verdict(error.report))
        raise
    if report is not None:
        console.print(screen.parity_table(report))
    if options.get("static_length") is not None:  # the file's K is no longer the checkpoint's
        overrides = replace(overrides, context_length=artifact.contract.context_length)
    console.print(
        screen.exported(artifact, report, model, as_flags(overrides), overrides.environment),
        soft_wrap=True,
    )


def _local(model: str | None) -> tuple[Path, ...]:
    """The files of a model that is named by its place on this disk."""
    from dt_export.files.writing import files_at

    with suppress(OSError, RuntimeError):  # no such user, and the like: loading it will say so
        path = Path(model or "").expanduser()
        return files_at(path) if model and path.exists() else ()
    return ()


def _given(*paths: Path | None) -> tuple[Path, ...]:
    return tuple(path for path in paths if path is not None)


@app.command()
def validate(
    artifact: Artifact,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="The checkpoint to compare with.  [default: the one the artifact names]",
            autocompletion=complete_model,
        ),
    ] = None,
    provider: Provider = "cpu",
    reference: Annotated[
        Literal["eager", "transformers"], typer.Option(help="What to compare with.")
    ] = "eager",
    seed: Annotated[
        int | None,
        typer.Option(
            help="Draws the inputs.  [default: fresh ones every time]", callback=between(0, SEEDS)
        ),
    ] = None,
    precision: Annotated[
        Literal["fp32", "fp16", "int8"] | None,
        typer.Option(
            help="What the artifact counts in; fp16 and int8 have wider tolerances, which count "
            "only if you say so.  [default: held to the tolerance of fp32]"
        ),
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", help="Write every comparison to this file.")
    ] = None,
    force: Force = False,
    context_length: ContextLength = None,
    n_head: NHead = None,
    activation: Activation = None,
    action_tanh: ActionTanh = None,
    discrete: Discrete = None,
    returns: Returns = None,
    stats: Stats = None,
    return_scale: ReturnScale = None,
    revision: Revision = None,
) -> None:
    """Is an artifact equal to its checkpoint? Exit code 0: equal, 1: not equal, 2: usage.

    Example: `dt-export validate hopper.onnx --model hopper`
    """
    from dt_export.cli import screen
    from dt_export.files.ours import is_report
    from dt_export.files.writing import Output, files_at
    from dt_export.validation import command

    to = None
    if json is not None:
        inputs = (artifact, *_given(stats), *_local(model))
        to = Output(json, "--json", is_report, inputs, force)
        to.check()
    overrides = Overrides(
        context_length, n_head, activation, action_tanh, discrete, returns, stats, return_scale,
        revision=revision,
    )  # fmt: skip
    console = terminal.console()
    opened, checkpoint = command.prepare(artifact, model, overrides, provider)
    if to is not None:
        to = replace(to, inputs=(*to.inputs, *files_at(checkpoint.path)))
        to.check()
    console.print(screen.checkpoint_lines(checkpoint))
    with screen.progress(f"validating on {opened.provider}", console) as on_case:
        report = command.validate(opened, checkpoint, reference, seed, on_case, precision)
    console.print(screen.parity_table(report))
    console.print(screen.verdict(report))
    if to is not None:
        command.write_json(report, to.path, inputs=to.inputs, force=force)
    if not report.passed:
        raise CheckError(f"{artifact} is not equal to {checkpoint.source.model}")


@app.command()
def run(
    artifact: Artifact,
    env: Annotated[
        str | None,
        typer.Option(help="A Gymnasium environment.  [default: the contract's]"),
    ] = None,
    episodes: Annotated[
        int, typer.Option(help="How many episodes.", callback=between(1, MOST_STEPS))
    ] = 5,
    target_return: Annotated[
        float | None,
        typer.Option(
            help="The raw return to ask for.  [default: the contract's]",
            callback=between(-LARGEST_FLOAT, LARGEST_FLOAT),
        ),
    ] = None,
    provider: Provider = "cpu",
    threads: Annotated[
        int,
        typer.Option(
            help="Threads inside an operator, 0 for all.", callback=between(0, MOST_THREADS)
        ),
    ] = 1,
    slots: Annotated[
        str | None,
        typer.Option(help="Of a step graph: how many staggered caches, or `ring`.  [default: 4]"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Of the first episode; the next adds 1.", callback=between(0, SEEDS)),
    ] = None,
) -> None:
    """Run episodes: returns and step latencies.

    Example: `dt-export run hopper.onnx --env Hopper-v5 --episodes 5`
    """
    from dt_export.cli import screen
    from dt_export.evaluation import running

    console = terminal.console()
    policy = running.open_policy(artifact, provider, threads, slot_count(slots))
    environment = running.make_environment(env, policy.contract.environment)
    with screen.steps(episodes, console) as on_step:
        results = running.run(policy, environment, episodes, target_return, seed, on_step)
    console.print(screen.episode_table(results, policy.provider))


@app.command()
def bench(
    artifacts: Annotated[
        list[Path] | None,
        typer.Argument(help="Files to measure.  [default: every side is exported]"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="The checkpoint.  [default: the one the first file names, else hopper]",
            autocompletion=complete_model,
        ),
    ] = None,
    sides: Annotated[
        str | None,
        typer.Option(help="Which sides, by commas; a wrong name lists them.  [default: all]"),
    ] = None,
    steps: Annotated[
        int, typer.Option(help="Measured calls of each side.", callback=between(1, MOST_STEPS))
    ] = 500,
    threads: Annotated[
        int,
        typer.Option(
            help="Threads of PyTorch and ONNX Runtime.", callback=between(1, MOST_THREADS)
        ),
    ] = 1,
    batch: Annotated[
        int, typer.Option(help="Environments in one step.", callback=between(1, 4096))
    ] = 1,
    primed: Annotated[
        int,
        typer.Option(
            help="Uncounted calls of a side right before each one that counts.",
            callback=between(0, 1000),
        ),
    ] = 3,
    cold: Annotated[
        bool, typer.Option(help="Measure fresh processes too: first action, peak memory.")
    ] = True,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Measure over K, hidden size and batch too (minutes).")
    ] = False,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Run a loop at so many steps a second: misses, jitter.",
            callback=between(0.001, 1e6),
        ),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(help="How long the loop at --rate runs.", callback=between(0.001, 1e6)),
    ] = 10.0,
    json: Annotated[Path | None, typer.Option("--json", help="Write all figures here.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the sweep, .svg or .png (implies --sweep).")
    ] = None,
    force: Force = False,
    context_length: ContextLength = None,
    n_head: NHead = None,
    activation: Activation = None,
    action_tanh: ActionTanh = None,
    discrete: Discrete = None,
    returns: Returns = None,
    stats: Stats = None,
    return_scale: ReturnScale = None,
    revision: Revision = None,
) -> None:
    """Measure one control step every way it can be had, all sides in turn in one process.

    Example: `dt-export bench --rate 500`
    """
    from dt_export.bench import bench, table
    from dt_export.bench.progress import showing
    from dt_export.bench.report import write_json
    from dt_export.files.ours import is_plot, is_report
    from dt_export.files.writing import Output, distinct, files_at

    overrides = Overrides(
        context_length, n_head, activation, action_tanh, discrete, returns, stats, return_scale,
        revision=revision,
    )  # fmt: skip
    inputs = (*(artifacts or ()), *_given(stats), *_local(model))
    to = Output(json, "--json", is_report, inputs, force) if json is not None else None
    to_plot = Output(plot, "--plot", is_plot, inputs, force) if plot is not None else None
    outputs = [output for output in (to, to_plot) if output is not None]
    distinct(outputs)
    for output in outputs:
        output.check()
    if to_plot is not None:
        from dt_export.bench.plot import check, write_plot

        check(to_plot.path, inputs, force)

    def on_model(path: Path) -> None:
        for output in outputs:
            replace(output, inputs=files_at(path)).check()

    names = None if sides is None else [name.strip() for name in sides.split(",") if name.strip()]
    console = terminal.console()
    with showing(console) as on_progress:
        report = bench(
            model, artifacts or (), overrides=overrides, sides=names, steps=steps, threads=threads,
            batch=batch, primed=primed, cold=cold, sweep=sweep or plot is not None, rate=rate,
            seconds=seconds, on_progress=on_progress, on_model=on_model,
        )  # fmt: skip
    console.print(table.report(report))
    if to is not None:
        write_json(report, to.path, inputs=inputs, force=force)
    if to_plot is not None:
        write_plot(report, to_plot.path, inputs=inputs, force=force)


@app.command()
def inspect(
    artifact: Artifact,
    json: Annotated[bool, typer.Option("--json", help="Print the contract as JSON.")] = False,
) -> None:
    """Show an artifact's contract, inputs, outputs, operators and size."""
    from dt_export.cli import screen
    from dt_export.targets.inspection import inspect

    contract, operators, note = inspect(artifact)
    if json:
        print(contract.to_json())
    else:
        terminal.console().print(screen.contract_tables(contract, artifact, operators, note))


@app.command()
def models(
    dialects: Annotated[
        bool, typer.Option("--dialects", help="List the dialects of checkpoints instead.")
    ] = False,
) -> None:
    """List the presets, or the dialects of checkpoints that --model understands."""
    from dt_export.cli import listing as models
    from dt_export.cli import screen

    if dialects:
        terminal.console().print(screen.dialect_table(models.dialects()))
    else:
        terminal.console().print(screen.preset_table(models.presets()))


@app.command()
def doctor() -> None:
    """Show versions and execution providers, and how to get what is missing."""
    from dt_export.cli import health as doctor
    from dt_export.cli import screen

    rows = doctor.rows()
    terminal.console().print(screen.doctor_table(rows))
    if not doctor.healthy(rows):
        raise CheckError("something that dt-export needs is missing")


def main(args: list[str] | None = None) -> None:
    """Run the app; a user's mistake becomes one message and an exit code, as does a full disk.

    Whatever else is raised is a bug of ours and shows its traceback.
    """
    with interrupts.reported(), terminal.any_encoding():
        sys.exit(_exit_code(args))


def _exit_code(args: list[str] | None) -> int:
    with_traceback.set(False)
    try:
        code = app(args=args, prog_name="dt-export", standalone_mode=False)
        terminal.flush()
        return code or 0
    except UsageError as error:
        return _say(error, "error", str(error), 2)
    except CheckError as error:
        return _say(error, "failed", str(error), 1)
    except WrongUsage as error:
        return _say(error, "error", error.format_message(), 2, _how_to(error))
    except SystemExit as done:
        # A broken pipe: Rich and Typer leave with 1 then, which means a failed check here.
        piped = isinstance(done.__context__, OSError)
        if done.code != 1 or not piped or COMPLETION in os.environ:
            raise
        return _broken_pipe()
    except BrokenPipeError:
        return _broken_pipe()
    except OSError as error:
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        what = ": ".join([*names, error.strerror or str(error) or type(error).__name__])
        code = _say(error, "error", what, 2)
        with suppress(OSError, ValueError):
            terminal.flush()
            return code
        terminal.give_up()  # it was the output itself that could not be written
        return code


def _broken_pipe() -> int:
    """Whoever read has seen enough: nothing is to be said."""
    terminal.give_up()
    return BROKEN_PIPE


def _say(error: Exception, kind: str, message: str, code: int, how_to: str = "") -> int:
    """Print a message, and the traceback where it was asked for; gives the exit code back."""
    from rich.text import Text

    stderr = terminal.console(stderr=True, soft_wrap=True)
    with suppress(OSError):
        if with_traceback.get():
            stderr.print("".join(traceback.format_exception(_whole(error))))
        if how_to:
            stderr.print(how_to)
        style = "bold red"
        stderr.print(Text.assemble((f"{kind}:", style), " ", terminal.printable(message)))
    return code


def _whole(error: BaseException) -> BaseException:
    """The error with the causes that ``raise ... from None`` hides."""
    at: BaseException | None = error
    while at is not None:
        at.__suppress_context__ = at.__cause__ is not None
        at = at.__cause__ or at.__context__
    return error


def _how_to(error: Any) -> str:
    """How the command is to be called."""
    if getattr(error, "ctx", None) is None:
        return ""
    return f"{error.ctx.get_usage()}\nTry '{error.ctx.command_path} --help' for help."
