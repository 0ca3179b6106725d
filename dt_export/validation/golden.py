"""Record golden episodes: the actions of eager PyTorch, to test any runtime with.

No artifact runs here. Inputs are drawn from a seed, the schedule gives the window of each action,
and the eager model computes the action on exactly that window.
"""

import base64
import math

import numpy as np
from dt_runtime.contract import Contract
from dt_runtime.golden import (
    FORMAT,
    KIND,
    Act,
    Event,
    Expected,
    Golden,
    Model,
    Numbers,
    Options,
    Reset,
)
from dt_runtime.schedule import Schedule
from dt_runtime.slots import DEFAULT, fixed_slots

from dt_export.checkpoints import Checkpoint
from dt_export.errors import CheckError, UsageError
from dt_export.files.ours import PRODUCER
from dt_export.graphs import graph_of
from dt_export.graphs.trials import draw_states
from dt_export.validation.differences import contract_differences
from dt_export.validation.eager import Eager, Row, no_action, schedule_of

# By precision, relative to the largest number of the recording: another runtime on another
# processor rounds otherwise, and this recording has to serve them all.
TOLERANCES = {"fp32": 1e-5, "fp16": 5e-3, "bf16": 2e-2, "int8": 5e-2}
ROWS = 2  # so that one can be reset while the other goes on
AFTER = 3  # steps after everything was reset in the end
FRAMES = 8  # different ones of a model that sees pictures
TRIES = 200  # draws of an observation until the choice is a clear one
CLEAR = 4.0  # tolerances by which the most likely index must lead: two logits, each that far off
APPLIED_EVERY = 5  # steps at which something else than the action was really done
IGNORED = 997.0  # rewards of rows at their first step, in quanta: nobody may take them off


def record(
    checkpoint: Checkpoint,
    contract: Contract,
    *,
    seed: int = 0,
    batch_size: int | None = None,
    slots: int | None = None,
) -> Golden:
    """Record a golden episode for an artifact of this contract.

    Row 0 plays 2K + 5 steps without a break, so that every slot of a step graph begins anew. The
    other rows are reset along the way, each at a different step. Then all rows are reset and play a
    few more steps. At some steps the applied action differs from the policy's. In precisions other
    than fp32 every step has an applied action: the runtime continues from eager PyTorch's actions,
    so that its errors do not add up.

    Returns and rewards are multiples of a power of two, so that returns-to-go are exact in float32
    as well as in float64. Everything else is drawn as float32.

    Args:
        checkpoint: the checkpoint that the artifact was exported from.
        contract: the artifact's contract.
        seed: seed of the inputs.
        batch_size: number of rows. By default 2, or the batch size that the file has fixed.
        slots: slots of a step graph. By default the runtime's, or the number fixed in the file.

    Raises:
        UsageError: the contract does not match the checkpoint, the graph has no golden episodes, or
            ``batch_size`` or ``slots`` are not possible.
        CheckError: the discrete policy has near ties everywhere, so that its choice is never clear.
    """
    contract, options = _settled(checkpoint, contract, batch_size, slots)
    rng, context = np.random.default_rng(seed), contract.context_length
    schedule = schedule_of(contract, options.slots)
    eager, drawn = Eager(checkpoint, contract), _Drawn(contract, rng)
    steps = min(2 * context + 5, contract.max_ep_len)
    alone = {1 + row * context // options.batch_size: row for row in range(1, options.batch_size)}
    quantum = 2.0 ** (math.floor(math.log2(contract.return_scale)) - 8)

    def returns(low: float, high: float, count: int) -> list[float]:
        scaled = rng.uniform(low, high, count) * contract.return_scale
        exact: list[float] = (np.round(scaled / quantum) * quantum).tolist()
        return exact

    rows: list[Row] = []
    events: list[Event] = []
    for step in range(steps + min(AFTER, contract.max_ep_len)):
        if step in (0, steps):
            targets = returns(1.0, 4.0, options.batch_size)
            rows = [Row(target) for target in targets]
            events.append(Event(reset=Reset(tuple(range(len(rows))), tuple(targets))))
        elif step in alone:
            (target,) = returns(1.0, 4.0, 1)
            rows[alone[step]] = Row(target)
            events.append(Event(reset=Reset((alone[step],), (target,))))
        rewards = None if step == 0 else returns(-0.1, 0.1, len(rows))
        for number, row in enumerate(rows):
            if not row.states:
                row.returns_to_go.append(row.target)
                if rewards is not None:
                    rewards[number] = IGNORED * quantum
            elif rewards is not None:
                row.returns_to_go.append(row.returns_to_go[-1] - rewards[number])
        applied = _apply(contract, rows, step, rng)
        events.append(Event(act=_act(contract, rows, schedule, eager, drawn, rewards, applied)))
    expected = [event.act.expected for event in events if event.act is not None]
    largest = max(float(np.abs(due.logits or due.actions).max()) for due in expected)
    return Golden(
        producer=PRODUCER,
        kind=KIND,
        format=FORMAT,
        model=Model.of(contract),
        options=options,
        seed=seed,
        tolerance=TOLERANCES[contract.precision] * max(1.0, largest),
        frames=tuple(base64.b64encode(frame.tobytes()).decode() for frame in drawn.frames),
        events=tuple(events),
    )


def _settled(
    checkpoint: Checkpoint, contract: Contract, batch_size: int | None, slots: int | None
) -> tuple[Contract, Options]:
    """The contract, and options that it allows."""
    if not graph_of(contract).takes_observations:
        raise UsageError(
            f"a {contract.graph} graph has no actions to record: "
            "export --graph policy, step or sequence"
        )
    if differences := contract_differences(contract, checkpoint, contract.target_returns):
        raise UsageError(f"the artifact was not exported from this checkpoint: {differences[0]}")
    # A compiled policy is one row of any number.
    fixed = None if contract.compiled else contract.batch_size
    rows = fixed or ROWS if batch_size is None else batch_size
    if rows < 1 or fixed not in (None, rows):
        raise UsageError(f"batch_size is {rows}, expected {fixed or 'at least 1'} for this file")
    if not graph_of(contract).stepwise:
        if slots is not None:
            raise UsageError(f"slots is {slots}, and a {contract.graph} graph has none")
        return contract, Options(rows)
    made_for, context = fixed_slots(contract), contract.context_length
    count = (made_for or min(DEFAULT, context)) if slots is None else slots
    if not 1 <= count <= context or made_for not in (None, count):
        raise UsageError(f"slots is {count}, expected {made_for or f'1 to {context}'}")
    return contract, Options(rows, count)


class _Drawn:
    """Observations, some of them different frames."""

    def __init__(self, contract: Contract, rng: np.random.Generator):
        self._contract, self._rng = contract, rng
        self.sees_frames = contract.inputs[0].dtype == "uint8"
        count = FRAMES if self.sees_frames else 0
        self.frames = draw_states(contract, (count, 1), 1.0, True, rng)[:, 0].astype(np.uint8)

    def draw(self) -> tuple[np.ndarray, int | None]:
        """An observation, and its index if it is a frame."""
        if self.sees_frames:
            index = int(self._rng.integers(len(self.frames)))
            return self.frames[index], index
        drawn = draw_states(self._contract, (1, 1), 1.0, True, self._rng)
        return drawn[0, 0].astype(np.float32), None


def _act(
    contract: Contract,
    rows: list[Row],
    schedule: Schedule,
    eager: Eager,
    drawn: _Drawn,
    rewards: list[float] | None,
    applied: Numbers | None,
) -> Act:
    """A step of every row: new observations, and what has to come of them."""
    observations: list[tuple[float, ...]] = []
    frames: list[int] = []
    outputs: list[np.ndarray] = []
    windows: list[tuple[int, int]] = []
    for row in rows:
        length = schedule.turn(len(row.states)).length
        row.states.append(np.empty(0))
        for _ in range(TRIES):
            row.states[-1], index = drawn.draw()
            output = eager.answer(row, length)
            if _is_clear(contract, output):
                break
        else:
            raise CheckError(
                f"none of {TRIES} observations makes the policy's choice a clear one: its two best "
                "logits are always closer than the tolerance. Nothing was recorded"
            )
        last = contract.first_timestep + len(row.states) - 1
        windows.append((last - length + 1, last))
        observations.append(tuple(row.states[-1].ravel().tolist()))
        if index is not None:
            frames.append(index)
        outputs.append(output)
        row.actions.append(eager.choice(output))
    expected = Expected(
        actions=_numbers([row.actions[-1] for row in rows]),
        logits=_numbers(outputs) if eager.head == "logits" else None,
        windows=tuple(windows),
        timesteps=tuple(last for _, last in windows),
        returns_to_go=tuple(row.returns_to_go[-1] for row in rows),
    )
    return Act(
        observations=None if drawn.sees_frames else tuple(observations),
        frames=tuple(frames) if drawn.sees_frames else None,
        rewards=None if rewards is None else tuple(rewards),
        applied_actions=applied,
        expected=expected,
    )


def _apply(
    contract: Contract, rows: list[Row], step: int, rng: np.random.Generator
) -> Numbers | None:
    """What was really done at the last step, where it is to be passed; kept for later windows."""
    another = step % APPLIED_EVERY == APPLIED_EVERY - 1
    if step == 0 or not (another or contract.precision != "fp32"):
        return None
    applied: list[np.ndarray] = []
    for row in rows:
        done = row.actions[-1] if row.actions else no_action(contract)
        if another:
            done = _another(contract, done, rng)
        applied.append(done)
        if row.actions:  # a row at its first step has no last action
            row.actions[-1] = done
    return _numbers(applied)


def _another(contract: Contract, action: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Something else than the action: weaker motors, or any index."""
    size = contract.action.size
    if contract.action.kind == "discrete":
        return np.asarray(rng.integers(size))
    return (action * rng.uniform(0.5, 1.0, size)).astype(np.float32)


def _is_clear(contract: Contract, output: np.ndarray) -> bool:
    """Whether rounding cannot change the choice: how far the most likely index leads."""
    if contract.action.kind != "discrete" or len(output) < 2:
        return True
    second, best = np.sort(output.astype(np.float64))[-2:]
    scale = max(1.0, float(np.abs(output).max()))
    return float(best - second) >= CLEAR * TOLERANCES[contract.precision] * scale


def _numbers(rows: list[np.ndarray]) -> Numbers:
    return tuple(tuple(np.atleast_1d(row).tolist()) for row in rows)
