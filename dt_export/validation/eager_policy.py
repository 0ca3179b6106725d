"""Eager PyTorch as a policy in closed loop, on exactly the windows that an artifact sees."""

import numpy as np
from dt_runtime import inputs
from dt_runtime.contract import Contract
from dt_runtime.outputs import check_finite

from dt_export.checkpoints import Checkpoint
from dt_export.validation.eager import Eager, Row, schedule_of

NOTHING = np.empty(0)


class EagerPolicy:
    """Eager PyTorch with the interface of ``dt_runtime.Policy`` for one environment.

    It shares the schedule of slots with the runtime, and nothing else: windows are cut from plain
    lists. Observations, actions and returns-to-go are rounded to float32, and returns-to-go are
    summed in float64, as in the runtime. So an fp32 artifact differs by rounding alone.

    Args:
        checkpoint: the model.
        contract: of the artifact that it is compared with.
        slots: of a step graph; by default the runtime's.
    """

    batch_size = 1

    def __init__(self, checkpoint: Checkpoint, contract: Contract, slots: int | None = None):
        self.contract = contract
        self._eager = Eager(checkpoint, contract)
        self._schedule = schedule_of(contract, slots)
        self._frames = contract.inputs[0].dtype == "uint8"
        self._row: Row | None = None
        self.last_output = np.zeros(contract.action.size, np.float32)

    @property
    def returns_to_go(self) -> np.ndarray:
        """The raw return-to-go, [1]."""
        row = self._row
        last = 0.0 if row is None else (row.returns_to_go or [row.target])[-1]
        return np.array([last], np.float64)

    def reset(self, target_return: float | None = None) -> None:
        """Begin a new episode; the default target is the contract's first one."""
        targets = self.contract.target_returns
        asked = (targets[0] if targets else 0.0) if target_return is None else target_return
        self._row = Row(float(asked))

    def act(self, observation: np.ndarray, reward: float | None = None) -> np.ndarray:
        """The next action: [A], or an index.

        Raises:
            NotFiniteError: the observation or the reward is not finite.
            ValueError: one of them has another shape.
            OutputError: the output is NaN or infinite.
            RuntimeError: ``reset`` was not called.
        """
        row, shape = self._row, self.contract.state.shape
        if row is None:
            raise RuntimeError("act() was called before reset(): call reset() first")
        observation = inputs.row("observation", observation, shape)
        state = (
            inputs.integers("observation", observation, shape, 255).astype(np.uint8)
            if self._frames
            else inputs.floats("observation", observation, shape)
        )
        left = row.target
        if row.states:
            left = row.returns_to_go[-1] - inputs.doubles("reward", reward, 1).item()
        if not np.isfinite(left):
            raise inputs.NotFiniteError(f"reward is {reward}, expected finite numbers")
        row.states.append(state)
        if len(row.states) > self.contract.context_length:  # no window reaches back that far
            row.states[-1 - self.contract.context_length] = NOTHING
        row.returns_to_go.append(left)
        output = self._eager.answer(row, self._schedule.turn(len(row.states) - 1).length)
        check_finite(self._eager.head, output)
        self.last_output = output
        row.actions.append(self._eager.choice(output))
        action: np.ndarray = row.actions[-1].copy()
        return action[()]
