"""What the commands print: Rich renderables made of plain results."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from dt_export.process import interrupts, terminal

if TYPE_CHECKING:  # for the commands that need no PyTorch
    from dt_runtime import Contract, Episode
    from dt_runtime.contract import Validation

    from dt_export.checkpoints import Checkpoint
    from dt_export.targets import Artifact
    from dt_export.validation import Report

SHOWN_FAILURES = 5


def _table(*columns: str, right: Iterable[str] = (), title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        justify = "right" if column in right else "left"
        table.add_column(column, justify=justify, header_style="dim", overflow="fold")
    return table


def checkpoint_lines(checkpoint: Checkpoint) -> RenderableType:
    config, facts = checkpoint.model.config, checkpoint.facts
    around = f"{facts.context_length} positions"
    if config.act_dim:  # a backbone alone has neither states nor actions
        around = (
            f"state {config.state_dim}, action {config.act_dim}, K {facts.context_length}, "
            f"return scale {facts.return_scale:g}"
        )
    head = Text.assemble(
        (checkpoint.name, "bold"),
        f"  {checkpoint.dialect}, {_count(config.n_layer, 'layer')}, "
        f"{_count(config.n_head, 'head')}, hidden {config.hidden_size}, {config.activation}; ",
        around,
    )
    notes = [Text(f"note: {note}", style="dim") for note in checkpoint.notes]
    loud = [Text(f"warning: {warning}", style="yellow") for warning in checkpoint.warnings]
    return Group(head, *notes, *loud)


def parity_table(report: Report) -> RenderableType:
    """Worst errors by group, then what failed with both values."""
    right = ("cases", "worst error", "worst absolute")
    table = _table("inputs", *right, "where", right=right)
    for group, members in report.groups().items():
        worst = max(members, key=lambda c: c.error)
        failed = not worst.error <= report.tolerance
        table.add_row(
            group,
            str(len({c.case for c in members})),
            Text(f"{worst.error:.1e}", style="red" if failed else "green"),
            f"{max(c.abs_error for c in members):.1e}",
            f"{worst.output}, B={worst.case.batch} T={worst.case.length} "
            f"padding={worst.case.padding}",
        )
    parts: list[RenderableType] = [table] if report.comparisons else []
    parts += [Text(f"note: {note}", style="yellow") for note in report.notes]
    parts += [Text(f"differs: {difference}", style="red") for difference in report.differences]
    for failure in report.failures[:SHOWN_FAILURES]:
        what = failure.problem or f"expected {failure.expected:.9g}, seen {failure.seen:.9g}"
        where = f"{report.contract.graph} graph, {failure.case}, {failure.output}"
        parts.append(Text(f"failed: {where}: {what}", style="red"))
    if len(report.failures) > SHOWN_FAILURES:
        parts.append(Text(f"... and {len(report.failures) - SHOWN_FAILURES} more", style="red"))
    return Group(*parts)


def verdict(report: Report) -> Text:
    """A line, and one more of returns; it names the seed, so that the inputs can be had again."""
    lines = (_equality(report), _smaller(report), _returns(report))
    return Text("\n").join(line for line in lines if line)


def _smaller(report: Report) -> Text | None:
    """What to type where a smaller precision was not counted for want of a word."""
    if report.passed or report.stated is not None or report.precision == "fp32":
        return None
    return Text(
        f"held to the tolerance of fp32, and its graph counts in {report.precision}: if that is "
        f"what you exported, validate with --precision {report.precision}",
        style="yellow",
    )


def _returns(report: Report) -> Text | None:
    """What a smaller precision earned beside fp32."""
    loop, precision = report.closed_loop, report.contract.precision
    if loop is None:
        why = report.not_played
        return None if why is None else Text(f"returns not compared with fp32: {why}", "yellow")
    return Text(
        f"{precision} earns {loop.mean:.1f} in {loop.environment} at target "
        f"{loop.target_return:g}, fp32 {loop.expected_mean:.1f}: {loop.change:+.1%}, allowed "
        f"{loop.limit:.0%} ({len(loop.returns)} seeds)",
        style="green" if loop.passed else "bold red",
    )


def _equality(report: Report) -> Text:
    cases = f"{report.cases} cases, seed {report.seed}"
    against = {"eager": "eager PyTorch", "transformers": "transformers"}[report.reference]
    if report.equal:
        worst = f"worst error {report.worst.error:.1e}, tolerance {report.tolerance:.0e}"
        how = "equal" if report.stated in (None, "fp32") else "close"
        return Text(f"{how} to {against}: {worst} ({cases})", style="green")
    return Text(f"NOT equal to {against} (tolerance {report.tolerance:.0e}; {cases})", "bold red")


def exported(
    artifact: Artifact,
    report: Report | None,
    model: str,
    flags: str = "",
    environment: str | None = None,
) -> RenderableType:
    """What was written and the exact next commands.

    ``flags`` are those that describe the model, ``environment`` is the one that the user named.
    """
    path, contract = artifact.path, artifact.contract
    lines = [Text.assemble("wrote ", (str(path), "bold"), f"  {_size(artifact.size)}")]
    if artifact.beside is not None:
        lines.append(Text(f"and {artifact.beside}, the operators that a minimal build needs"))
    lines.append(Text("not validated", style="yellow") if report is None else verdict(report))
    file = _word(str(path))
    if contract.precision != "fp32":
        flags = f"--precision {contract.precision} {flags}"
    validate = f"dt-export validate {file} --model {_word(model)} {flags}".rstrip()
    commands = [validate, f"dt-export inspect {file}"]
    if contract.producer.get("target") == "onnx" and contract.graph != "backbone":
        commands.insert(0, f"dt-export run {file} --env {_env(contract, environment)}")
    lines.append(Text("next:"))
    lines += [
        Text(f"  {command}", style="cyan", overflow="ignore", no_wrap=True) for command in commands
    ]
    return Group(*lines)


def _word(text: str) -> str:
    """A path or name as a shell must be given it: neither expanded nor taken for a flag."""
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def _env(contract: Contract, named: str | None) -> str:
    """What to type after --env: never a module that only a file names, for it would be imported."""
    known = contract.environment
    if known is None or (":" in known and known != named):
        return "ENV"
    return _word(known)


def contract_tables(
    contract: Contract, path: Path, operators: Counter[str], note: str = ""
) -> RenderableType:
    """Everything that an artifact says of itself, with a note on how operators were counted."""
    state, action, validation = contract.state, contract.action, contract.validation
    facts = _table("", "", title=f"{path}  {_size(path.stat().st_size)}")
    facts.show_header = False
    rows = {
        "graph": f"{contract.graph}, {contract.precision}, dialect {contract.dialect}",
        "context length": f"{contract.context_length} timesteps, the first is number "
        f"{contract.first_timestep}, at most {contract.max_ep_len} in an episode",
        "return scale": f"{contract.return_scale:g}",
        "target returns": ", ".join(f"{t:g}" for t in contract.target_returns) or "none",
        "environment": contract.environment or "not known",
        "action": f"{action.kind}, {action.size}",
        "state": f"shape {list(state.shape)}, "
        + ("statistics below" if state.mean else "no statistics: taken as it is"),
        "source": f"{contract.source.model}"
        + (f" at {contract.source.revision}" if contract.source.revision else ""),
        "weights sha256": contract.source.sha256 or "not known",
        "producer": ", ".join(f"{k} {v}" for k, v in sorted(contract.producer.items())),
        "validation": "none: exported with --no-validate"
        if validation is None
        else f"{validation.cases} cases against {validation.reference}, worst error "
        f"{validation.max_error:.1e}, tolerance {validation.tolerance:.0e}" + _earned(validation),
    }
    for name, value in rows.items():
        facts.add_row(Text(name, style="dim"), Text(terminal.one_line(value)))
    tensors = _table("tensor", "dtype", "shape")
    for kind, specs in (("in", contract.inputs), ("out", contract.outputs)):
        for spec in specs:
            shape = ", ".join(str(axis) for axis in spec.shape)
            name = terminal.one_line(spec.name)
            tensors.add_row(f"{kind}  {name}", spec.dtype, Text(terminal.one_line(f"[{shape}]")))
    parts: list[RenderableType] = [facts, Text(), tensors]
    for title, spec, columns in (
        ("state", state, {"mean": state.mean, "std": state.std}),
        ("action", action, {"low": action.low, "high": action.high}),
    ):
        if any(columns.values()):
            parts += [Text(), _components(title, spec.names, columns)]
    parts += [
        Text(),
        Text(
            "operators: "
            + ", ".join(f"{n} {k}" for k, n in operators.most_common())
            + (f" ({note})" if note else "")
        ),
    ]
    return Group(*parts)


def _earned(validation: Validation) -> str:
    if not validation.episodes:
        return ""
    return (
        f"; earned {validation.mean_return:.1f}, fp32 {validation.fp32_return:.1f} "
        f"({validation.episodes} episodes)"
    )


def _components(
    title: str,
    names: tuple[str, ...] | None,
    columns: dict[str, tuple[float, ...] | None],
) -> Table:
    table = _table(title, *columns, right=tuple(columns))
    size = max(len(values or ()) for values in columns.values())
    for index in range(size):
        values = ("" if v is None else f"{v[index]:.6g}" for v in columns.values())
        table.add_row(
            f"{index} {terminal.one_line(names[index])}" if names else str(index), *values
        )
    return table


def episode_table(episodes: list[Episode], provider: str) -> RenderableType:
    right = ("seed", "asked", "return", "steps", "p50 us", "p99 us")
    table = _table("episode", *right, "end", right=("episode", *right))
    for index, episode in enumerate(episodes):
        seed = "" if episode.seed is None else str(episode.seed)
        end = "terminated" if episode.terminated else "time limit"
        numbers = (f"{episode.target_return:g}", f"{episode.total_return:.1f}", str(episode.length))
        table.add_row(str(index), seed, *numbers, *_percentiles(episode.latencies), end)
    returns = np.array([episode.total_return for episode in episodes])
    latencies = np.concatenate([episode.latencies for episode in episodes])
    p50, p99 = _percentiles(latencies)
    summary = Text(
        f"mean return {returns.mean():.1f} ± {returns.std():.1f} over {len(episodes)} episodes; "
        f"Policy.act p50 {p50} us, p99 {p99} us on {provider}",
        style="bold",
    )
    return Group(table, summary)


def _percentiles(latencies: np.ndarray) -> tuple[str, str]:
    p50, p99 = np.percentile(latencies * 1e6, (50, 99))
    return f"{p50:.0f}", f"{p99:.0f}"


def preset_table(rows: list[tuple[str, str, str, str]]) -> RenderableType:
    table = _table("name", "environment", "target returns", "where")
    for name, *rest in rows:
        table.add_row(Text(name, style="bold"), *rest)
    return table


def dialect_table(rows: list[tuple[str, str, str]]) -> RenderableType:
    table = _table("dialect", "recognised by", "flags that may be needed")
    for name, looked_for, flags in rows:
        table.add_row(Text(name, style="bold", no_wrap=True), looked_for, flags)
    return table


def doctor_table(rows: list[tuple[str, str, str]]) -> RenderableType:
    table = _table("what", "found", "to get it")
    for what, found, remedy in rows:
        table.add_row(what, Text(found, style="yellow" if remedy else "green"), Text(remedy))
    return table


@contextmanager
def progress(what: str, console: Console) -> Iterator[Callable[[int, int], None]]:
    """A bar that waits while a graph is traced and counts cases while it is validated."""
    with Progress(
        SpinnerColumn(), TextColumn(what, markup=False), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal,
    ) as bar:  # fmt: skip
        task = bar.add_task(what, total=None)

        def on_case(done: int, total: int) -> None:
            interrupts.check()  # in case that it was swallowed
            bar.update(task, completed=done, total=total)

        yield on_case


@contextmanager
def steps(episodes: int, console: Console) -> Iterator[Callable[[int, int, float], None]]:
    """A bar over episodes that shows the running one's steps and return."""
    with Progress(
        TextColumn("episode"), MofNCompleteColumn(), BarColumn(),
        TextColumn("{task.fields[now]}", markup=False), TimeElapsedColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    ) as bar:  # fmt: skip
        task = bar.add_task("episodes", total=episodes, now="")

        def on_step(episode: int, length: int, total: float) -> None:
            if length % 20 == 0:
                interrupts.check()
                bar.update(task, completed=episode, now=f"step {length}, return {total:.0f}")

        yield on_step


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _size(size: int) -> str:
    return f"{size / 1e6:.2f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"
