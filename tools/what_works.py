"""Which graph, target and option work with which dialect: asks the code, writes docs/graphs.md.

    python tools/what_works.py            # rewrite the section
    python tools/what_works.py --check    # exit with 1 if it is out of date

Needs the test extra, because the small checkpoints are those of the tests.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import typer

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from checkpoints_made_here import save_hugging_face  # noqa: E402
from oracles import atari, corl, d3rlpy_numpy, kzl, min_dt, online_dt  # noqa: E402

from dt_export.checkpoints import DIALECTS, Checkpoint, Overrides, load  # noqa: E402
from dt_export.cli.app import app  # noqa: E402
from dt_export.errors import CheckpointError, UsageError  # noqa: E402
from dt_export.exporting import check_options  # noqa: E402
from dt_export.graphs import GRAPHS  # noqa: E402
from dt_export.targets import TARGETS  # noqa: E402

PAGE = ROOT / "docs" / "graphs.md"
BEGIN, END = "<!-- what works: begin -->\n", "<!-- what works: end -->\n"
YES, NO = "yes", "no"


@dataclass(frozen=True)
class Small:
    """A small checkpoint of a dialect, or of a variant of one that differs in what works."""

    dialect: str
    oracle: ModuleType | None = None  # none for transformers itself
    options: Any = None
    flags: Mapping[str, Any] = field(default_factory=dict)


SMALL = {
    "huggingface": Small("huggingface", options={}),
    "huggingface, discrete": Small(
        "huggingface", options={"action_tanh": False}, flags={"discrete": True}
    ),
    "kzl": Small("kzl", kzl, kzl.Options(positions=8), {"n_head": 2}),
    "online-dt": Small("online-dt", online_dt, online_dt.Options(positions=8)),
    "online-dt, deterministic": Small(
        "online-dt", online_dt, online_dt.Options(positions=8, stochastic=False)
    ),
    "corl": Small("corl", corl, corl.Options()),
    "min-dt": Small("min-dt", min_dt, min_dt.Options(), {"n_head": 2}),
    "d3rlpy": Small("d3rlpy", d3rlpy_numpy, d3rlpy_numpy.Options()),
    "d3rlpy, global positions": Small(
        "d3rlpy", d3rlpy_numpy, d3rlpy_numpy.Options(position_encoding_type="global")
    ),
    "atari": Small("atari", atari, atari.Options(), {"n_head": 2}),
    "atari, naive": Small(
        "atari", atari, atari.Options(model_type="naive"), {"n_head": 2, "returns": False}
    ),
}

# Columns of the second table: what to ask of `dt-export onnx` and the others.
ASKED: dict[str, dict[str, Any]] = {
    "fp16": {"precision": "fp16"},
    "bf16": {"precision": "bf16"},
    "int8": {"precision": "int8"},
    "`--format ort`": {"format": "ort"},
    "`--static-batch`": {"static_batch": 1},
    "`--static-length`": {"static_length": 1},
    "`--outputs`": {"outputs": ("all",)},
}


def made(small: Small, folder: Path) -> Path:
    """The checkpoint's file or directory, random weights in the layout of the original."""
    if small.oracle is None:
        return save_hugging_face(folder / "made", **small.options)
    weights = small.oracle.state_dict(np.random.default_rng(0), small.options)
    return small.oracle.save(folder / "made", weights, small.options)


def refusal(
    path: Path, flags: Mapping[str, Any], target: str, graph: str, **asked: Any
) -> str | None:
    """Why this export is refused; None if it is not. The one place that asks the code.

    An option also counts as refused if the command of the target does not have its flag.
    """
    command = typer.main.get_command(app).commands[target]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    for name in asked:
        flag = f"--{name.replace('_', '-')}"
        if flag not in known:
            return f"`dt-export {target}` has no {flag}"
    try:
        kind, to = GRAPHS[graph], TARGETS[target]
        checkpoint = loaded(path, tuple(flags.items()), kind.of_backbone)
        wanted = to.options(graph=graph, **asked)
        kind.output_names(checkpoint.model.config, wanted.outputs, wanted.sample)
        check_options(checkpoint, to, kind, wanted)
    except (UsageError, CheckpointError) as error:
        return str(error)
    return None


@cache
def loaded(path: Path, flags: tuple[tuple[str, Any], ...], backbone: bool) -> Checkpoint:
    return load(str(path), Overrides(**dict(flags)), backbone=backbone)


def section(folder: Path) -> str:
    """The two tables, as Markdown."""
    paths = {}
    for number, (name, small) in enumerate(SMALL.items()):
        (folder / str(number)).mkdir()
        paths[name] = made(small, folder / str(number))
    works = {
        (name, graph, target)
        for name in SMALL
        for graph in GRAPHS
        for target in TARGETS
        if refusal(paths[name], SMALL[name].flags, target, graph) is None
    }
    return "\n".join([*dialect_table(paths, works), "", *option_table(paths, works), ""])


def dialect_table(paths: Mapping[str, Path], works: set[tuple[str, str, str]]) -> Iterator[str]:
    of = {g: [t for t in TARGETS if any((n, g, t) in works for n in SMALL)] for g in GRAPHS}
    targets = "; ".join(f"`{graph}` for {', '.join(of[graph])}" for graph in GRAPHS)
    yield f"Graphs by dialect ({targets}), for all of these targets unless a cell names some:"
    yield ""
    yield row("dialect", *(f"`{graph}`" for graph in GRAPHS), "`--sample`")
    yield row(*["---"] * (len(GRAPHS) + 2))
    for name, small in SMALL.items():
        cells = []
        for graph in GRAPHS:
            can = [target for target in of[graph] if (name, graph, target) in works]
            cells.append(YES if can == of[graph] else ", ".join(can) or NO)
        sample = refusal(paths[name], small.flags, "onnx", "policy", sample=True)
        yield row(name, *cells, NO if sample else YES)


def option_table(paths: Mapping[str, Path], works: set[tuple[str, str, str]]) -> Iterator[str]:
    yield "Options by graph and target, for every dialect that has the graph:"
    yield ""
    yield row("graph", "target", *ASKED)
    yield row(*["---"] * (len(ASKED) + 2))
    for graph in GRAPHS:
        for target in TARGETS:
            names = [name for name in SMALL if (name, graph, target) in works]
            if not names:
                continue
            yield row(
                f"`{graph}`", target,
                *(among(paths, names, target, graph, asked) for asked in ASKED.values()),
            )  # fmt: skip


def among(
    paths: Mapping[str, Path], names: list[str], target: str, graph: str, asked: dict[str, Any]
) -> str:
    """Yes or no, or the names of those for which it is yes."""
    can = [n for n in names if refusal(paths[n], SMALL[n].flags, target, graph, **asked) is None]
    if len(can) == len(names):
        return YES
    return ", ".join(can) or NO


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def rewritten(page: str) -> str:
    """The page with its section made anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    with tempfile.TemporaryDirectory() as folder:
        return f"{before}{BEGIN}\n{section(Path(folder))}\n{END}{after}"


def missing_dialects() -> set[str]:
    return set(DIALECTS) - {small.dialect for small in SMALL.values()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="exit with 1 if it is out of date")
    check = parser.parse_args().check
    if missing_dialects():
        print(f"no small checkpoint for {', '.join(sorted(missing_dialects()))}", file=sys.stderr)
        return 1
    page = PAGE.read_text(encoding="utf-8")
    new = rewritten(page)
    if check:
        print("up to date" if new == page else f"{PAGE} is out of date: run this without --check")
        return int(new != page)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
