"""Open-loop validation: is an artifact equal to eager PyTorch on every window?"""

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from dt_runtime.contract import Contract, TensorSpec

from dt_export.checkpoints.checkpoint import Checkpoint
from dt_export.graphs import graph_of
from dt_export.graphs.kind import BATCH, SEQUENCE
from dt_export.graphs.trials import Case, Trial
from dt_export.targets.artifact import Opened, Run
from dt_export.validation.differences import (
    contract_differences,
    contract_due,
    notes,
    precision_differences,
)
from dt_export.validation.levels import Comparison, levels
from dt_export.validation.reference import reference
from dt_export.validation.report import Report
from dt_export.validation.threads import one_thread

STRICTEST_FIRST = ("fp32", "fp16", "bf16", "int8")


def check(
    opened: Opened,
    checkpoint: Checkpoint,
    *,
    seed: int | None = None,
    reference_name: str = "eager",
    tolerance: float | None = None,
    precision: str | None = None,
    targets: tuple[float, ...] = (),
    on_case: Callable[[int, int], None] | None = None,
) -> Report:
    """Compare an artifact with eager PyTorch.

    Args:
        seed: draws the inputs; new ones every time without it. The report names it.
        tolerance: the largest error allowed, absolute on bounded outputs and else relative to the
            output's scale. By default it follows from the model's own rounding, see ``levels``.
        precision: the precision that the user states. Without it the rounding of fp32 counts: no
            file gets a wider bound by looking like int8. Where the graph, or the contract, is of
            another, the strictest counts; that is a difference too.
        targets: returns that the user says were chosen at export.
        on_case: called with (cases done, cases in all).
    """
    contract, seed = opened.contract, secrets.randbits(32) if seed is None else seed
    said = (opened.precision, contract.precision, precision or "fp32")
    counted = next((name for name in STRICTEST_FIRST if name in said), "fp32")
    differences = (
        *precision_differences(opened, precision),
        *contract_differences(contract, checkpoint, targets),
    )
    comparisons: list[Comparison] = []
    if _comparable(contract, checkpoint):
        references = _references(checkpoint, contract, reference_name, counted)
        trials = list(graph_of(contract).trials(contract, checkpoint.model.config))
        rng = np.random.default_rng(seed)
        with one_thread():
            for done, trial in enumerate(trials, start=1):
                comparisons += _compare(opened, trial, rng, references)
                if on_case is not None:
                    on_case(done, len(trials))
    return Report(
        contract, tuple(comparisons), differences, levels(comparisons, counted, tolerance),
        tolerance, reference_name, seed, opened.precision, counted, precision,
        notes=notes(contract, checkpoint),
    )  # fmt: skip


@dataclass(frozen=True)
class _References:
    """What an artifact is compared with, and two more that tell the rounding to be expected."""

    expected: Run  # in float32
    rounded: Run | None  # eager in the artifact's precision; None: as ``expected``
    exact: Run  # eager in float64


def _references(
    checkpoint: Checkpoint, contract: Contract, name: str, precision: str
) -> _References:
    same = precision == "fp32" and name == "eager"
    return _References(
        expected=reference(checkpoint, contract, name),
        rounded=None if same else reference(checkpoint, contract, arithmetic=precision),
        exact=reference(checkpoint, contract, arithmetic="float64"),
    )


def _comparable(contract: Contract, checkpoint: Checkpoint) -> bool:
    """Whether inputs made for the artifact also fit the checkpoint."""
    due = contract_due(contract, checkpoint)
    return due is not None and all(
        getattr(contract, name) == getattr(due, name)
        for name in ("inputs", "outputs", "first_timestep", "max_ep_len", "context_length")
    ) and (contract.state.shape, contract.action.kind, contract.action.size) == (
        due.state.shape, due.action.kind, due.action.size,
    )  # fmt: skip


def _compare(
    opened: Opened, trial: Trial, rng: np.random.Generator, references: _References
) -> Iterator[Comparison]:
    try:
        played = list(trial.play(opened, rng))
    except Exception as error:  # an engine that fails at a shape is a finding, whatever it raises
        for name in trial.outputs:
            yield Comparison(trial.case, name, np.inf, np.inf, np.nan, np.nan, _problem(error))
        return
    for case, arrays, seen in played:
        yield from _differ(opened.contract, case, arrays, seen, references)


def _problem(error: Exception) -> str:
    """The line that says what went wrong: the first one, or of TorchScript, which begins with a
    traceback of its own, the last one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no message"]
    said = lines[-1] if "TorchScript interpreter" in lines[0] else lines[0]
    return f"{type(error).__name__}: {said}"


def _differ(
    contract: Contract,
    case: Case,
    arrays: Mapping[str, np.ndarray],
    seen: Mapping[str, np.ndarray],
    references: _References,
) -> Iterator[Comparison]:
    """One comparison for each output that the reference has."""
    mask = arrays["attention_mask"] != 0
    expected, exact = references.expected(arrays), references.exact(arrays)
    rounded = expected if references.rounded is None else references.rounded(arrays)
    for spec in (spec for spec in contract.outputs if spec.name in expected):
        due, got = expected[spec.name], seen[spec.name]
        if due.shape != got.shape:
            problem = f"shape {list(got.shape)}, expected {list(due.shape)}"
            yield Comparison(case, spec.name, np.inf, np.inf, np.nan, np.nan, problem)
            continue
        due, got, near, true = (
            _real(spec, array, mask).astype(np.float64)
            for array in (due, got, rounded[spec.name], exact[spec.name])
        )
        scale = 1.0 if _bounded(contract, spec.name) else max(1.0, float(np.abs(due).max()))
        error, rounding = _distance(got, due) / scale, _distance(near, true) / scale
        where = np.unravel_index(np.argmax(error), error.shape)
        yield Comparison(
            case,
            spec.name,
            error=float(error[where]),
            abs_error=float(error[where]) * scale,
            expected=float(due[where]),
            seen=float(got[where]),
            rms=float(np.sqrt(np.mean(error**2))),
            rounding=float(rounding.max()),
            rounding_rms=float(np.sqrt(np.mean(rounding**2))),
            count=error.size,
        )


def _distance(seen: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Infinite where a number is not finite."""
    distance: np.ndarray = np.where(np.isfinite(seen), np.abs(seen - expected), np.inf)
    return distance


def _real(spec: TensorSpec, array: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The part of an output that belongs to real timesteps; what stands in padding is nobody's."""
    axes = [i for i, axis in enumerate(spec.shape) if str(axis).endswith(SEQUENCE)]
    if not axes:
        return array
    axis = axes[0]
    mask = np.repeat(mask, array.shape[axis] // mask.shape[1], axis=1)  # of timesteps or tokens
    real: np.ndarray = np.moveaxis(array, (spec.shape.index(BATCH), axis), (0, 1))[mask]
    return real


def _bounded(contract: Contract, output: str) -> bool:
    bounded_action = contract.action.low is not None and contract.action.high is not None
    return output == "attentions" or (output in ("action", "action_preds") and bounded_action)
