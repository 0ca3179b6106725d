"""``dt-export bench``."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from dt_export.cli.files import at_model, given
from dt_export.cli.options import MOST_STEPS, MOST_THREADS, Force, SameOverrides, complete_model
from dt_export.cli.parameters import option, with_tables
from dt_export.flags import flag
from dt_export.process import terminal


@dataclass(frozen=True)
class Measurement:
    """What to measure, and how often."""

    candidates: tuple[str, ...] | None = flag(
        "--sides",
        help="Candidates, separated by commas; a wrong name lists them.  [default: all]",
    )
    steps: int = flag(
        "--steps", 500, help="Measured calls of each candidate.", low=1, high=MOST_STEPS
    )
    threads: int = flag(
        "--threads", 1, help="Threads of PyTorch and ONNX Runtime.", low=1, high=MOST_THREADS
    )
    batch: int = flag("--batch", 1, help="Environments in one step.", low=1, high=4096)
    primed: int = flag(
        "--primed", 3, help="Uncounted calls right before each measured one.", low=0, high=1000
    )
    cold: bool = flag(
        "--cold/--no-cold",
        True,
        help="Also measure time to first action and peak memory, in new processes.",
    )
    sweep: bool = flag(
        "--sweep", False, help="Also measure over K, hidden size and batch (takes minutes)."
    )
    rate: float | None = flag(
        "--rate",
        help="Run a loop at this many steps a second, and report misses and jitter.",
        low=0.001,
        high=1e6,
    )
    seconds: float = flag(
        "--seconds", 10.0, help="How long the loop at --rate runs.", low=0.001, high=1e6
    )


@with_tables
def bench(
    artifacts: Annotated[
        list[Path] | None,
        typer.Argument(help="Files to measure.  [default: every candidate is exported]"),
    ] = None,
    model: Annotated[
        str | None,
        option(
            "--model",
            "-m",
            help="The checkpoint.  [default: the one that the first file names, else hopper]",
            autocompletion=complete_model,
        ),
    ] = None,
    *,
    wanted: Measurement,
    json: Annotated[Path | None, option("--json", help="Write all figures to this file.")] = None,
    plot: Annotated[
        Path | None,
        option("--plot", help="Draw the sweep as .svg or .png (implies --sweep)."),
    ] = None,
    force: Force = False,
    overrides: SameOverrides,
) -> None:
    """Measure one control step in every way you can run it, taking turns in one process.

    Example: `dt-export bench --rate 500`
    """
    from dt_export.bench import bench, table
    from dt_export.bench.progress import showing
    from dt_export.files.ours import is_plot, is_report
    from dt_export.files.reports import write_report
    from dt_export.files.writing import Output, distinct, files_at

    inputs = (*(artifacts or ()), *given(overrides.stats), *at_model(model))
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

    console = terminal.console()
    with showing(console) as on_progress:
        report = bench(
            model, artifacts or (), overrides=overrides, on_progress=on_progress, on_model=on_model,
            **vars(wanted) | {"sweep": wanted.sweep or plot is not None},
        )  # fmt: skip
    console.print(table.report(report))
    if to is not None:
        write_report(report.to_json(), to.path, inputs=inputs, force=force)
    if to_plot is not None:
        write_plot(report, to_plot.path, inputs=inputs, force=force)
