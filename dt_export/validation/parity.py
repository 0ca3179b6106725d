"""Open-loop validation: is an artifact equal to eager PyTorch on every window?"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest

import numpy as np
import torch
from dt_runtime.contract import Contract, TensorSpec, Validation
from dt_runtime.slots import PRESENT

from dt_export.checkpoints import Checkpoint
from dt_export.errors import UsageError
from dt_export.graphs import BATCH, GAUSSIAN, PRECISIONS, SEQUENCE, output_names, step
from dt_export.graphs.backbone import GRAPH
from dt_export.process.terminal import one_line
from dt_export.targets.artifact import Opened, Run, contract_of
from dt_export.validation import backbone_cases, step_cases
from dt_export.validation.cases import Case, cases, inputs
from dt_export.validation.closed_loop import ClosedLoop
from dt_export.validation.reference import reference

# By precision: absolute on bounded outputs, else relative to the output's scale. Measured on the
# bundled policy: 4e-7, 7e-4 and 7e-3.
TOLERANCES = {"fp32": 1e-5, "fp16": 5e-3, "int8": 5e-2}
TOLERANCE = TOLERANCES["fp32"]


@dataclass(frozen=True)
class Comparison:
    """One output in one case. ``error`` is what is held against the tolerance."""

    case: Case
    output: str
    error: float
    abs_error: float
    expected: float  # the reference's value where the two differ most
    seen: float  # the artifact's value there
    problem: str | None = None  # what went wrong where there was no value to compare


@dataclass(frozen=True)
class Report:
    """Every comparison of a validation."""

    contract: Contract
    comparisons: tuple[Comparison, ...]
    differences: tuple[str, ...]  # facts on which contract and checkpoint disagree
    tolerance: float
    reference: str
    seed: int
    precision: str = "fp32"  # what the graph counts in
    stated: str | None = None  # what the user says that it counts in
    closed_loop: ClosedLoop | None = None  # of a smaller precision, against fp32
    not_played: str | None = None  # why there is none
    notes: tuple[str, ...] = ()  # what was not checked, and what the user may have chosen

    @property
    def failures(self) -> tuple[Comparison, ...]:
        return tuple(c for c in self.comparisons if not c.error <= self.tolerance)

    @property
    def passed(self) -> bool:
        return self.equal and (self.closed_loop is None or self.closed_loop.passed)

    @property
    def equal(self) -> bool:
        """Whether every single output is within the tolerance."""
        return bool(self.comparisons) and not self.failures and not self.differences

    @property
    def worst(self) -> Comparison:
        return max(self.comparisons, key=lambda c: c.error)

    @property
    def cases(self) -> int:
        return len({c.case for c in self.comparisons})

    def groups(self) -> dict[str, tuple[Comparison, ...]]:
        groups: dict[str, list[Comparison]] = {}
        for comparison in self.comparisons:
            groups.setdefault(comparison.case.group, []).append(comparison)
        return {name: tuple(members) for name, members in groups.items()}

    def validation(self) -> Validation:
        """What goes into the contract."""
        loop = self.closed_loop
        return Validation(
            cases=self.cases,
            max_abs_error=max(c.abs_error for c in self.comparisons),
            max_error=self.worst.error,
            tolerance=self.tolerance,
            reference=self.reference,
            episodes=0 if loop is None else len(loop.returns),
            mean_return=None if loop is None else loop.mean,
            fp32_return=None if loop is None else loop.expected_mean,
        )


def check(
    opened: Opened,
    checkpoint: Checkpoint,
    *,
    seed: int,
    reference_name: str = "eager",
    tolerance: float | None = None,
    precision: str | None = None,
    on_case: Callable[[int, int], None] | None = None,
) -> Report:
    """Compare an artifact with eager PyTorch on fresh inputs drawn from ``seed``.

    Args:
        tolerance: by default that of ``precision``, or a stricter one where the graph, or the
            contract, is of another; that is a difference too.
        precision: what the user says that the artifact counts in. Unsaid, it is held to fp32's
            tolerance: no file buys itself a wider one by looking like int8.
        on_case: called with (cases done, cases in all).
    """
    contract = opened.contract
    said = [opened.precision, contract.precision, precision or "fp32"]
    if tolerance is None:
        tolerance = min(TOLERANCES.get(name, TOLERANCE) for name in said)
    differences = (
        *_precision_differences(opened, precision),
        *contract_differences(contract, checkpoint),
    )
    comparisons: list[Comparison] = []
    if _comparable(contract, checkpoint):
        run_reference = reference(checkpoint, contract, reference_name)
        tasks = _tasks(opened, checkpoint, run_reference, np.random.default_rng(seed))
        with _one_thread():
            for done, task in enumerate(tasks, start=1):
                comparisons += task()
                if on_case is not None:
                    on_case(done, len(tasks))
    return Report(
        contract, tuple(comparisons), differences, tolerance, reference_name, seed,
        opened.precision, precision, notes=_notes(contract, checkpoint),
    )  # fmt: skip


def _tasks(
    opened: Opened, checkpoint: Checkpoint, run_reference: Run, rng: np.random.Generator
) -> list[Callable[[], Iterator[Comparison]]]:
    """Everything that is to be compared, in the order in which inputs are drawn."""
    contract = opened.contract
    if contract.graph == step.GRAPH:
        plans = step_cases.rollouts(contract)
        return [partial(_rollout, opened, plan, rng, run_reference) for plan in plans]
    if contract.graph == GRAPH:
        todo, draw = backbone_cases.cases(contract), backbone_cases.inputs
    else:
        todo, draw = cases(contract, longer=checkpoint.model.config.window is None), inputs
    return [
        partial(_case, opened, case, partial(draw, contract, case, rng), run_reference)
        for case in todo
    ]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in an order that does not depend on the machine's cores; small models lose nothing."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _comparable(contract: Contract, checkpoint: Checkpoint) -> bool:
    """Whether inputs made for the artifact also fit the checkpoint."""
    due = _due(contract, checkpoint)
    return due is not None and all(
        getattr(contract, name) == getattr(due, name)
        for name in ("inputs", "outputs", "first_timestep", "max_ep_len", "context_length")
    ) and (contract.state.shape, contract.action.kind, contract.action.size) == (
        due.state.shape, due.action.kind, due.action.size,
    )  # fmt: skip


def contract_differences(contract: Contract, checkpoint: Checkpoint) -> tuple[str, ...]:
    """What the runtime takes from the contract, held against what an export would have written.

    Not what it says of itself (producer, validation), nor what the user may choose at export
    without changing an action (target returns, environment): of these there are notes.
    """
    due = _due(contract, checkpoint)
    if due is None:
        return (f"outputs: no {contract.graph} graph of this checkpoint has {_outputs(contract)}",)
    pairs: dict[str, tuple[object, object]] = {
        "source sha256": (contract.source.sha256, due.source.sha256),
        "dialect": (contract.dialect, due.dialect),
        "state size": (contract.state.size, due.state.size),
        "state shape": (contract.state.shape, due.state.shape),
        "action kind": (contract.action.kind, due.action.kind),
        "action size": (contract.action.size, due.action.size),
        "max_ep_len": (contract.max_ep_len, due.max_ep_len),
        "first_timestep": (contract.first_timestep, due.first_timestep),
        "context_length": (contract.context_length, due.context_length),
        "return_scale": (contract.return_scale, due.return_scale),
        "state mean": (contract.state.mean, due.state.mean),
        "state std": (contract.state.std, due.state.std),
        "action low": (contract.action.low, due.action.low),
        "action high": (contract.action.high, due.action.high),
        "action scale": (contract.action.scale, due.action.scale),
        "action offset": (contract.action.offset, due.action.offset),
    }
    for kind, seen, expected in (
        ("input", contract.inputs, due.inputs),
        ("output", contract.outputs, due.outputs),
    ):
        for mine, theirs in zip_longest(seen, expected):
            if mine != theirs:
                pairs[f"{kind} {(theirs or mine).name}"] = (_spec(mine), _spec(theirs))
    return tuple(
        f"{name}: {_says(seen, due)}" for name, (seen, due) in pairs.items() if seen != due
    )


def _notes(contract: Contract, checkpoint: Checkpoint) -> tuple[str, ...]:
    facts, borrowed, notes = checkpoint.facts, checkpoint.borrowed, []
    if taken := [name for fact, name in _UNCHECKED.items() if fact in borrowed]:
        flags = [_FLAGS[fact] for fact in _UNCHECKED if fact in borrowed and fact in _FLAGS]
        how = f" (give {', '.join(flags)})" if flags else ""
        notes.append(f"taken from the artifact itself, not checked: {', '.join(taken)}{how}")
    for name, seen, due in (
        ("target_returns", contract.target_returns, facts.target_returns or ()),
        ("environment", contract.environment, facts.environment),
    ):
        if name not in borrowed and seen != due:
            notes.append(f"{name}: {_says(seen, due)}")
    return tuple(notes)


_UNCHECKED = {
    "context_length": "context_length",
    "return_scale": "return_scale",
    "state_mean": "state statistics",
    "target_returns": "target returns",
    "environment": "environment",
}
_FLAGS = {
    "context_length": "--context-length",
    "return_scale": "--return-scale",
    "state_mean": "--stats",
}


def _says(seen: object, due: object) -> str:
    return f"the artifact's contract says {_short(seen)}, the checkpoint says {_short(due)}"


def _precision_differences(opened: Opened, stated: str | None) -> Iterator[str]:
    said = {"the artifact's contract says": opened.contract.precision, "--precision says": stated}
    for who, precision in said.items():
        if precision not in (None, opened.precision):
            yield f"precision: {who} {one_line(precision)}, its graph counts in {opened.precision}"


def _due(contract: Contract, checkpoint: Checkpoint) -> Contract | None:
    """The contract that an export of this graph, with these outputs and sizes, would have.

    None where the checkpoint has no such graph.
    """
    heads, config = _outputs(contract), checkpoint.model.config
    try:
        if contract.graph == "sequence":
            names = output_names(config, contract.graph, heads)
        else:
            names = output_names(config, contract.graph, sample=set(GAUSSIAN) <= set(heads))
        precision = contract.precision if contract.precision in PRECISIONS else "fp32"
        return contract_of(checkpoint, contract.graph, names, {}, precision, _sizes(contract))
    except UsageError:
        return None


def _outputs(contract: Contract) -> tuple[str, ...]:
    """The names of the outputs that are no caches."""
    caches = PRESENT if contract.graph == step.GRAPH else ()
    return tuple(spec.name for spec in contract.outputs if not spec.name.startswith(caches))


def _sizes(contract: Contract) -> dict[str, int]:
    """The axes that the file has fixed, by name."""
    shapes = {spec.name: spec.shape for spec in contract.inputs}
    window, sizes = shapes.get("states", ()), {}
    rows = shapes.get("query_index", window)[:1]
    if rows and isinstance(rows[0], int):
        sizes[BATCH] = rows[0]
        if contract.graph == step.GRAPH and window and isinstance(window[0], int):
            sizes[step.SLOTS] = window[0] // max(1, rows[0])
    if contract.graph != step.GRAPH and len(window) > 1 and isinstance(window[1], int):
        sizes[SEQUENCE] = window[1]
    return sizes


def _spec(spec: TensorSpec | None) -> str:
    if spec is None:
        return "nothing"
    return f"{one_line(spec.name)} {spec.dtype} [{', '.join(str(axis) for axis in spec.shape)}]"


def _case(
    opened: Opened, case: Case, draw: Callable[[], dict[str, np.ndarray]], run_reference: Run
) -> Iterator[Comparison]:
    contract, arrays = opened.contract, draw()
    try:
        seen = opened.run(arrays)
    except Exception as error:  # an engine that fails at a shape is a finding, whatever it raises
        for spec in contract.outputs:
            yield Comparison(case, spec.name, np.inf, np.inf, np.nan, np.nan, _problem(error))
        return
    yield from _differ(contract, case, arrays, seen, run_reference(arrays))


def _rollout(
    opened: Opened, plan: step_cases.Rollout, rng: np.random.Generator, run_reference: Run
) -> Iterator[Comparison]:
    contract = opened.contract
    try:
        windows = list(step_cases.windows(opened, plan, rng))
    except Exception as error:  # as in _case
        case = Case(plan.group, plan.batch, contract.context_length)
        yield Comparison(case, "action", np.inf, np.inf, np.nan, np.nan, _problem(error))
        return
    for case, arrays, seen in windows:
        yield from _differ(contract, case, arrays, seen, run_reference(arrays))


def _problem(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"


def _differ(
    contract: Contract,
    case: Case,
    arrays: Mapping[str, np.ndarray],
    seen: Mapping[str, np.ndarray],
    expected: Mapping[str, np.ndarray],
) -> Iterator[Comparison]:
    """One comparison for each output that the reference has."""
    mask = arrays["attention_mask"] != 0
    for spec in (spec for spec in contract.outputs if spec.name in expected):
        due, got = expected[spec.name], seen[spec.name]
        if due.shape != got.shape:
            problem = f"shape {list(got.shape)}, expected {list(due.shape)}"
            yield Comparison(case, spec.name, np.inf, np.inf, np.nan, np.nan, problem)
            continue
        due, got = (_real(spec, array, mask).astype(np.float64) for array in (due, got))
        distance = np.where(np.isfinite(got), np.abs(got - due), np.inf)
        where = np.unravel_index(np.argmax(distance), distance.shape)
        scale = 1.0 if _bounded(contract, spec.name) else max(1.0, float(np.abs(due).max()))
        worst = float(distance[where])
        yield Comparison(
            case, spec.name, worst / scale, worst, float(due[where]), float(got[where])
        )


def _real(spec: TensorSpec, array: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The part of an output that belongs to real timesteps; what stands in padding is nobody's."""
    axes = [i for i, axis in enumerate(spec.shape) if str(axis).endswith(SEQUENCE)]
    if not axes:
        return array
    axis = axes[0]
    mask = np.repeat(mask, array.shape[axis] // mask.shape[1], axis=1)  # of timesteps or tokens
    array = np.moveaxis(array, (spec.shape.index(BATCH), axis), (0, 1))
    return array[mask]


def _bounded(contract: Contract, output: str) -> bool:
    bounded_action = contract.action.low is not None and contract.action.high is not None
    return output == "attentions" or (output in ("action", "action_preds") and bounded_action)


def _short(value: object) -> str:
    if isinstance(value, tuple) and len(value) > 3:
        return f"[{', '.join(f'{x:g}' for x in value[:3])}, ... {len(value)} numbers]"
    return "nothing" if value is None or value == () else one_line(str(value))
