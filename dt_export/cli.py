"""The command line: parse, call one function, print. Heavy imports wait inside the commands."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from dt_export import __version__
from dt_export.errors import CheckError, UsageError
from dt_export.facts import Overrides, as_flags
from dt_export.presets import PRESETS

app = typer.Typer(
    name="dt-export",
    help="Export Decision Transformers, prove them equal to PyTorch, and run them.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


INTERRUPTED = 130  # what Typer exits with on Ctrl-C


def complete_model(incomplete: str) -> list[str]:
    return [name for name in PRESETS if name.startswith(incomplete)]


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
        help="Seeds that fp16 and int8 play against fp32 before they pass, 0 for none.", min=0
    ),
]
StaticBatch = Annotated[
    int | None, typer.Option(help="Fix the batch size, for engines that need it.", min=1)
]
StaticLength = Annotated[
    int | None,
    typer.Option(help="Fix the window's length; shorter ones are padded.", min=1),
]

FACTS = "Facts that a checkpoint may not carry"


def _fact(*names: str, help: str) -> object:
    return typer.Option(*names, help=help, rich_help_panel=FACTS, show_default=False)


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
    float | None, _fact("--return-scale", help="What raw returns are divided by.")
]
TargetReturn = Annotated[
    float | None, _fact("--target-return", help="The raw return to ask for by default.")
]
Env = Annotated[str | None, _fact("--env", help="The Gymnasium environment it was made for.")]
Revision = Annotated[
    str | None, _fact("--revision", help="Branch, tag or commit of a Hugging Face repository.")
]


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
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
    opset: Annotated[int, typer.Option(help="ONNX opset, 20 to 23.")] = 20,
    precision: Precision = "fp32",
    format: Format = "onnx",
    episodes: Episodes = 20,
    static_batch: StaticBatch = None,
    static_length: StaticLength = None,
    validate: Validate = True,
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
        "onnx", model, overrides, output, graph, outputs, sample, validate, opset=opset,
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
    _export("torchscript", model, overrides, output, graph, outputs, sample, validate)


def _export(
    target: str,
    model: str,
    overrides: Overrides,
    output: Path | None,
    graph: str,
    outputs: str | None,
    sample: bool,
    validate: bool,
    **options: object,
) -> None:
    from dt_export import checkpoints, screen
    from dt_export.exporting import ValidationFailedError, export
    from dt_export.targets import TARGETS

    console = screen.console()
    checkpoint = checkpoints.load(model, overrides, backbone=graph == "backbone")
    console.print(screen.checkpoint_lines(checkpoint))
    if note := TARGETS[target].NOTE:
        console.print(f"note: {note}", style="dim")
    names = tuple(name.strip() for name in (outputs or "").split(",") if name.strip())
    try:
        with screen.progress(f"exporting to {target}", console) as on_case:
            artifact, report = export(
                checkpoint, target, output, graph=graph, outputs=names, sample=sample,
                validate=validate, on_case=on_case, **options,
            )  # fmt: skip
    except ValidationFailedError as error:
        console.print(screen.parity_table(error.report))
        console.print(screen.verdict(error.report))
        raise
    if report is not None:
        console.print(screen.parity_table(report))
    if options.get("static_length") is not None:  # the file's K is no longer the checkpoint's
        overrides = replace(overrides, context_length=artifact.contract.context_length)
    console.print(screen.exported(artifact, report, model, as_flags(overrides)), soft_wrap=True)


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
        int | None, typer.Option(help="Draws the inputs.  [default: fresh ones every time]")
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", help="Write every comparison to this file.")
    ] = None,
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
    from dt_export import screen
    from dt_export.validation import command
    from dt_export.writing import check_place

    if json is not None:
        check_place(json, "--json")
    overrides = Overrides(
        context_length, n_head, activation, action_tanh, discrete, returns, stats, return_scale,
        revision=revision,
    )  # fmt: skip
    console = screen.console()
    opened, checkpoint = command.prepare(artifact, model, overrides, provider)
    console.print(screen.checkpoint_lines(checkpoint))
    with screen.progress(f"validating on {opened.provider}", console) as on_case:
        report = command.validate(opened, checkpoint, reference, seed, on_case)
    console.print(screen.parity_table(report))
    console.print(screen.verdict(report))
    if json is not None:
        command.write_json(report, json)
    if not report.passed:
        raise CheckError(f"{artifact} is not equal to {checkpoint.source.model}")


@app.command()
def run(
    artifact: Artifact,
    env: Annotated[
        str | None,
        typer.Option(help="A Gymnasium environment.  [default: the contract's]"),
    ] = None,
    episodes: Annotated[int, typer.Option(help="How many episodes.")] = 5,
    target_return: Annotated[
        float | None, typer.Option(help="The raw return to ask for.  [default: the contract's]")
    ] = None,
    provider: Provider = "cpu",
    threads: Annotated[int, typer.Option(help="Threads inside an operator, 0 for all.")] = 1,
    slots: Annotated[
        str | None,
        typer.Option(help="Of a step graph: how many staggered caches, or `ring`.  [default: 4]"),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the first episode; the next adds 1.")] = None,
) -> None:
    """Run episodes: returns and step latencies.

    Example: `dt-export run hopper.onnx --env Hopper-v5 --episodes 5`
    """
    from dt_export import running, screen

    console = screen.console()
    policy = running.open_policy(artifact, provider, threads, slots)
    environment = running.make_environment(env, policy.contract)
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
    steps: Annotated[int, typer.Option(help="Measured calls of each side.")] = 500,
    threads: Annotated[int, typer.Option(help="Threads of PyTorch and ONNX Runtime.")] = 1,
    batch: Annotated[int, typer.Option(help="Environments in one step.")] = 1,
    primed: Annotated[
        int, typer.Option(help="Uncounted calls of a side right before each one that counts.")
    ] = 3,
    cold: Annotated[
        bool, typer.Option(help="Measure fresh processes too: first action, peak memory.")
    ] = True,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Measure over K, hidden size and batch too (minutes).")
    ] = False,
    rate: Annotated[
        float | None, typer.Option(help="Run a loop at so many steps a second: misses, jitter.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long the loop at --rate runs.")] = 10.0,
    json: Annotated[Path | None, typer.Option("--json", help="Write all figures here.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the sweep, .svg or .png (implies --sweep).")
    ] = None,
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
    from dt_export import screen
    from dt_export.bench import bench, table
    from dt_export.bench.progress import showing
    from dt_export.bench.report import write_json
    from dt_export.writing import check_place

    overrides = Overrides(
        context_length, n_head, activation, action_tanh, discrete, returns, stats, return_scale,
        revision=revision,
    )  # fmt: skip
    if json is not None:
        check_place(json, "--json")
    if plot is not None:
        from dt_export.bench.plot import check, write_plot

        check(plot)
    names = None if sides is None else [name.strip() for name in sides.split(",") if name.strip()]
    console = screen.console()
    with showing(console) as on_progress:
        report = bench(
            model, artifacts or (), overrides=overrides, sides=names, steps=steps, threads=threads,
            batch=batch, primed=primed, cold=cold, sweep=sweep or plot is not None, rate=rate,
            seconds=seconds, on_progress=on_progress,
        )  # fmt: skip
    console.print(table.report(report))
    if json is not None:
        write_json(report, json)
    if plot is not None:
        write_plot(report, plot)


@app.command()
def inspect(
    artifact: Artifact,
    json: Annotated[bool, typer.Option("--json", help="Print the contract as JSON.")] = False,
) -> None:
    """Show an artifact's contract, inputs, outputs, operators and size."""
    from dt_export import screen
    from dt_export.inspection import inspect

    contract, operators = inspect(artifact)
    if json:
        print(contract.to_json())
    else:
        screen.console().print(screen.contract_tables(contract, artifact, operators))


@app.command()
def models(
    dialects: Annotated[
        bool, typer.Option("--dialects", help="List the dialects of checkpoints instead.")
    ] = False,
) -> None:
    """List the presets, or the dialects of checkpoints that --model understands."""
    from dt_export import models, screen

    if dialects:
        screen.console().print(screen.dialect_table(models.dialects()))
    else:
        screen.console().print(screen.preset_table(models.presets()))


@app.command()
def doctor() -> None:
    """Show versions and execution providers, and how to get what is missing."""
    from dt_export import doctor, screen

    rows = doctor.rows()
    screen.console().print(screen.doctor_table(rows))
    if not doctor.healthy(rows):
        raise CheckError("something that dt-export needs is missing")


def main(args: list[str] | None = None) -> None:
    """Run the app; a user's mistake becomes one message and an exit code."""
    from rich.console import Console

    stderr = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        app(args=args, prog_name="dt-export")
    except UsageError as error:
        stderr.print(f"[bold red]error:[/] {_plain(error)}")
        sys.exit(2)
    except CheckError as error:
        stderr.print(f"[bold red]failed:[/] {_plain(error)}")
        sys.exit(1)
    except SystemExit as done:
        if done.code == INTERRUPTED:
            stderr.print("interrupted")
        raise


def _plain(error: Exception) -> str:
    from rich.markup import escape

    return escape(str(error))
