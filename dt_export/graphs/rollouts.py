"""Rollouts of a step graph: every action against eager PyTorch on the window that it reports.

A cache has a history, so single inputs prove nothing: the runtime's own loop is driven through
whole episodes, with rows that begin anew at different times, and remembers what went in.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from dt_runtime import CompiledPolicy, Library, Policy
from dt_runtime.contract import Contract
from dt_runtime.engine import Engine
from dt_runtime.schedule import Schedule
from dt_runtime.slots import DEFAULT, PRESENT, fixed_slots

from dt_export.graphs.trials import EXTREME, Arrays, Case, Runnable, Trial, draw_states

FEWEST = 64  # steps of a rollout, so that there are numbers enough to tell rounding
LONGEST = 10_000  # an episode beyond this is not played to its end


@dataclass(frozen=True)
class Rollout:
    """A run to be made. ``compared`` is the number of its last steps that are looked at, and with
    ``resets`` a row begins a new episode now and then."""

    group: str
    slots: int
    batch: int
    steps: int
    compared: int
    spread: float = 1.0
    resets: bool = False
    kind: str = "random"  # as of a Case

    def case(self, length: int, full: bool = False) -> Case:
        return Case(
            self.group, self.batch, length, kind=self.kind, slots=self.slots, resets=self.resets,
            full=full,
        )  # fmt: skip


def trials(contract: Contract) -> Iterator[Trial]:
    """A trial for every rollout."""
    for plan in rollouts(contract):
        length = contract.context_length
        case = plan.case(length)
        yield Trial(case, ("action",), partial(windows, plan))


def rollouts(contract: Contract) -> Iterator[Rollout]:
    """One slot, K slots and some between; one row and three; past the end of the longest episode"""
    context = contract.context_length
    usual = min(DEFAULT, context)
    # Every slot begins anew at least once.
    steps = max(2 * context + 5, min(FEWEST, contract.max_ep_len))
    counts = sorted({1, min(2, context), min(3, context), usual, context})
    batches: tuple[int, ...] = (1, 3)
    rows = contract.inputs[0].shape[0]
    fixed = fixed_slots(contract)
    if isinstance(rows, int) and fixed is not None:  # a file of fixed shape
        usual, counts = fixed, [fixed]
        if not contract.compiled:  # which is one row of any number
            batches = (rows // fixed,)
    for slots in counts:
        # Many rows only with the usual numbers of slots: whole windows cost the reference most.
        for batch in batches if slots in (1, usual, context) else batches[:1]:
            group = f"slots = {slots}, B = {batch}"
            yield Rollout(group, slots, batch, steps, steps, resets=batch > 1)
    if max(batches) == 1:
        yield Rollout("episodes that begin anew", usual, 1, steps, steps, resets=True)
    else:  # rows without resets, which tells the two apart where one of them is wrong
        group = f"slots = {usual}, B = {max(batches)}, no resets"
        yield Rollout(group, usual, max(batches), context, context)
    many = batches[-1] > 1
    yield Rollout("extreme inputs", usual, batches[-1], context, context, EXTREME, many, "extreme")
    if contract.max_ep_len <= LONGEST:
        past = contract.max_ep_len + context
        yield Rollout("past the longest episode", usual, batches[0], past, steps, kind="late")


def recorded(artifact: Runnable, batch: int, slots: int) -> tuple[Policy, Callable[[], Arrays]]:
    """A policy on an artifact, and a function that gives the outputs of its head at its last act.

    Those are [B, A] each, and may be arrays that the next act overwrites.
    """
    if isinstance(artifact.engine, Library):
        policy = Policy(artifact.engine, batch_size=batch, slots=slots)
        assert isinstance(policy, CompiledPolicy)
        return policy, partial(_outputs, policy)
    engine = _Recorded(artifact.contract, artifact.engine)
    return Policy(engine, batch_size=batch, slots=slots), lambda: engine.outputs


def _outputs(policy: CompiledPolicy) -> Arrays:
    """A library has one output, which it keeps."""
    if policy.contract.action.kind == "discrete":
        return {"logits": policy.logits}
    return {"action": policy.last_actions}


class _Recorded:
    """An engine that keeps every output of the head, also those that a policy does not ask for."""

    def __init__(self, contract: Contract, engine: Engine):
        self.contract, self._engine = contract, engine
        self.outputs: dict[str, np.ndarray] = {}

    def bind(
        self, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> Callable[[], None]:
        batch = inputs["query_index"].shape[0]
        heads = [s for s in self.contract.outputs if not s.name.startswith(PRESENT)]
        missing = {s.name: np.zeros(s.sized({"batch": batch}), s.dtype) for s in heads}
        bound = missing | dict(outputs)
        self.outputs = {spec.name: bound[spec.name] for spec in heads}
        return self._engine.bind(inputs, bound)


class PastError(Exception):
    """A policy reports another past than its schedule, its timesteps and its rewards make."""


def windows(
    plan: Rollout, artifact: Runnable, rng: np.random.Generator
) -> Iterator[tuple[Case, Arrays, Arrays]]:
    """Play a run; then, by kind of action: its case, a policy graph's inputs, what came out.

    Windows, timesteps and returns-to-go are those that are due, and not what the policy reports: a
    compiled one keeps its own past, which may be wrong.

    Raises:
        PastError: the policy reports others.
    """
    contract, batch = artifact.contract, plan.batch
    policy, last_outputs = recorded(artifact, batch, plan.slots)
    schedule = Schedule(contract.context_length, plan.slots)
    spread = plan.spread * contract.return_scale
    returns_to_go = rng.uniform(-1.0, 4.0, batch) * spread
    policy.reset(returns_to_go)
    last = contract.first_timestep + contract.max_ep_len - 1
    history: list[list[Arrays]] = [[] for _ in range(batch)]
    elapsed = np.zeros(batch, np.int64)
    by_case: dict[Case, list[tuple[list[Arrays], Arrays]]] = {}
    for step in range(plan.steps):
        if plan.resets and step and rng.random() < 2 / contract.context_length:
            row = int(rng.integers(batch))
            returns_to_go[row] = rng.uniform(-1.0, 4.0) * spread
            policy.reset(returns_to_go[row], rows=[row])
            history[row], elapsed[row] = [], 0
        states = draw_states(contract, (batch, 1), plan.spread, True, rng)[:, 0]
        states = states.astype(contract.inputs[0].dtype)
        rewards = rng.uniform(-0.1, 0.1, batch) * spread
        returns_to_go = returns_to_go - np.where(elapsed > 0, rewards, 0.0)
        one = batch == 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # it is meant to be too long
            actions = policy.act(states[0] if one else states, rewards[0] if one else rewards)
        actions = np.reshape(actions, (batch, *np.shape(actions)[0 if one else 1 :]))
        timesteps = contract.first_timestep + elapsed
        lengths = [schedule.turn(int(taken)).length for taken in elapsed]
        _check_past(policy, timesteps, lengths, returns_to_go)
        for row, length in enumerate(lengths):
            history[row].append(
                {
                    "states": states[row],
                    "actions": actions[row],
                    "returns_to_go": returns_to_go[row, None].copy(),
                    "timesteps": np.minimum(timesteps[row], last),
                    "attention_mask": np.array(1),
                }
            )
            del history[row][: -contract.context_length]
            if step >= plan.steps - plan.compared:
                seen = {name: array[row].copy() for name, array in last_outputs().items()}
                case = plan.case(length, bool(elapsed[row] >= contract.context_length))
                by_case.setdefault(case, []).append((history[row][-length:], seen))
        elapsed += 1
    dtypes = {spec.name: spec.dtype for spec in contract.inputs}
    for case, members in sorted(by_case.items(), key=lambda found: found[0].length):
        names = [name for name in members[0][0][0] if name in (*dtypes, "attention_mask")]
        inputs = {
            name: np.array([[step[name] for step in window] for window, _ in members]).astype(
                dtypes.get(name, "int64")
            )
            for name in names
        }
        inputs.setdefault("timesteps", np.zeros(inputs["attention_mask"].shape, np.int64))
        outputs = {name: np.stack([seen[name] for _, seen in members]) for name in members[0][1]}
        yield case, inputs, outputs


def _check_past(
    policy: Policy, timesteps: np.ndarray, lengths: Sequence[int], returns_to_go: np.ndarray
) -> None:
    """What the policy reports of its past, against what is due, all [B].

    Raises:
        PastError: they differ.
    """
    for row, (begin, end) in enumerate(policy.windows):
        due = int(timesteps[row]) - lengths[row] + 1, int(timesteps[row])
        if (begin, end) != due:
            raise PastError(
                f"row {row} reports the window of timesteps {begin} to {end}, expected "
                f"{due[0]} to {due[1]}"
            )
        left = float(np.reshape(policy.returns_to_go, -1)[row])
        if not np.isclose(left, returns_to_go[row], rtol=1e-9, atol=0):
            raise PastError(
                f"row {row} reports a return-to-go of {left:g} at timestep {end}, expected "
                f"{returns_to_go[row]:g}"
            )
