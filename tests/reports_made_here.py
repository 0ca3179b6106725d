"""Validation reports of the bundled policy with everything in them, made without an export."""

import math
from dataclasses import replace

import numpy as np
from dt_runtime.contract import Contract

from dt_export.checkpoints import load
from dt_export.graphs import GRAPHS, rollouts, windows
from dt_export.graphs.trials import Case
from dt_export.targets.contract import contract_of
from dt_export.validation.closed_loop import ActionTrace, ClosedLoop, Pair
from dt_export.validation.document import Document
from dt_export.validation.latency import Latency
from dt_export.validation.levels import Comparison, levels
from dt_export.validation.report import Replayed, Report
from dt_export.validation.trace import Along, TraceResult

# Hostile in HTML, XML, Markdown and in a workflow command.
HOSTILE = "<script>alert('x')</script> & \"quotes\" ]]> | \x1b[31m\r\n::error::a"
VERSIONS = {"dt-export": "0.1.0", "torch": "2.13.0", "numpy": "2.4.6"}
ROUNDING = 2e-7
SEEDS = 20
STEPS = 400


def contract(graph: str = "policy") -> Contract:
    checkpoint = load("hopper")
    kind = GRAPHS[graph]
    names = kind.output_names(checkpoint.model.config)
    made = contract_of(checkpoint, kind, names, {"target": "onnx", "opset": 20})
    return Contract.from_json(made.to_json())


def passed(graph: str = "policy") -> Report:
    """Open loop alone; errors of about the size of the model's rounding."""
    of = contract(graph)
    cases = _rollouts(of) if graph == "step" else list(windows.cases(of))
    rng = np.random.default_rng(0)
    outputs = [spec.name for spec in of.outputs if not spec.name.startswith("present")]
    comparisons = tuple(_comparison(case, output, rng) for case in cases for output in outputs)
    return Report(of, comparisons, (), levels(comparisons, "fp32", None), None, "eager", 7)


def _rollouts(of: Contract) -> list[Case]:
    lengths = range(1, of.context_length + 1)
    return [Case(r.group, r.batch, n) for r in rollouts.rollouts(of) for n in lengths]


def _comparison(case: Case, output: str, rng: np.random.Generator) -> Comparison:
    error, rounding = ROUNDING * rng.uniform(0.5, 1.5, 2)
    expected = float(rng.uniform(-1, 1))
    return Comparison(
        case, output, error, error, expected, expected + error,
        rms=error / 4, rounding=rounding, rounding_rms=rounding / 4, count=60,
    )  # fmt: skip


def played(
    report: Report, worse: float = 0.0, spread: float = 5.0, slowest: float = 900.0
) -> Report:
    """With a closed loop; ``worse`` and ``spread`` are of the second target's differences."""
    rng = np.random.default_rng(1)
    pairs, traces = [], []
    for target, less, wide in ((1800.0, 0.0, 5.0), (3600.0, worse, spread)):
        for seed in range(SEEDS):
            earned = float(rng.normal(0.95 * target, 50.0))
            seen = earned if seed % 2 else earned - less + float(rng.normal(0.0, wide))
            parted = None if seed % 2 else 100 + seed
            pairs.append(
                Pair(seed, target, earned, seen, 1000, 1000, False, False, parted, 4e-7)
            )  # fmt: skip
        steps = np.linspace(0.0, 40.0, STEPS)[:, None] * np.array([1.0, 2.0, 3.0])
        expected = np.clip(1.3 * np.sin(steps), -1, 1)
        seen_actions = expected + rng.normal(0.0, 1e-7, expected.shape)
        traces.append(ActionTrace(0, target, _rows(expected), _rows(seen_actions), 8e-7))
    edges = np.geomspace(90.0, slowest, 41)
    counts = np.exp(-(np.linspace(-2.0, 6.0, 40) ** 2) / 4.0) * 900 // 1
    loop = ClosedLoop(
        "Hopper-v5", "eager", 0.02, tuple(pairs), tuple(traces), forced_bound=8e-7,
        latency=Latency(20_000, 131.0, 188.0, slowest, tuple(edges), tuple(map(int, counts))),
    )  # fmt: skip
    return replace(report, closed_loop=loop)


def replayed(report: Report, off: bool = False) -> Report:
    """With a golden episode and a trace of three; where ``off``, each has a fault."""
    rng = np.random.default_rng(2)
    episodes = tuple(
        Along(
            number,
            1000.0 * number,
            _errors(rng, 2e-7, 120 + 40 * number),
            _errors(rng, 1.5e-7, 120 + 40 * number),
        )
        for number in range(3)
    )
    golden = Replayed("golden/hopper.json", 48, 3e-7, 1e-5, 0, None)
    if off:
        late = (*episodes[1].errors[:-5], *[2e-3] * 5)
        ended = replace(episodes[2], errors=(), rounding=(), problem=f"RuntimeError: {HOSTILE}")
        episodes = (episodes[0], replace(episodes[1], errors=late), ended)
        golden = replace(golden, mismatches=2, max_abs_error=0.5, first_mismatch="call 3: 0.1, 0.6")
    return replace(report, golden=golden, trace=TraceResult("runs.npz", episodes, 2e-7, 8e-7))


def _errors(rng: np.random.Generator, scale: float, count: int) -> tuple[float, ...]:
    return tuple(rng.uniform(0.2, 1.8, count) * scale)


def undecided() -> Report:
    return played(passed(), spread=400.0)


def failed(graph: str = "policy") -> Report:
    """Long windows are off, an engine failed once, a fact differs, and an episode crashed."""
    good = passed(graph)
    comparisons = tuple(
        replace(c, error=4e-4, abs_error=4e-4, rms=1e-4, seen=c.expected + 4e-4)
        if c.case.length > 12
        else c
        for c in good.comparisons
    )
    broken = replace(
        comparisons[0], error=math.inf, abs_error=math.inf, rms=math.inf, expected=math.nan,
        seen=math.nan, problem=f"RuntimeError: {HOSTILE}",
    )  # fmt: skip
    differs = "return_scale: the artifact's contract says 100.0, the checkpoint says 1000.0"
    report = replace(
        good,
        comparisons=(broken, *comparisons[1:]),
        differences=(differs,),
        notes=("taken from the artifact itself, not checked: state statistics (pass --stats)",),
    )
    report = replayed(played(report, worse=300.0, slowest=150_000.0), off=True)
    loop = report.closed_loop
    assert loop is not None
    crashed = replace(loop.pairs[3], seen=math.nan, problem=f"ValueError: {HOSTILE}")
    pairs = (*loop.pairs[:3], crashed, *loop.pairs[4:])
    return replace(report, closed_loop=replace(loop, pairs=pairs))


def _rows(array: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, array.tolist()))


def documented(report: Report, artifact: str = "out/hopper.onnx") -> Document:
    return Document(report, artifact, "CPUExecutionProvider", VERSIONS)
