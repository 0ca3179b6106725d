"""Small environments for the tiny checkpoint, named on a command line as ``module:callable``."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

STEPS = 12


class Robot(gymnasium.Env):
    """Actions move the state and the state decides the reward: both sides part if actions do."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (5,))
    action_space = gymnasium.spaces.Box(-1, 1, (2,))

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self.steps, self.state = 0, self.np_random.normal(size=5)
        return self.state.copy(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        self.steps += 1
        self.state = 0.8 * self.state + np.resize(action, 5)
        reward = 10.0 - float(np.square(self.state).sum())
        return self.state.copy(), reward, False, self.steps == STEPS, {}


class Other(Robot):
    """Of other sizes."""

    observation_space = gymnasium.spaces.Box(-1, 1, (7,))


class Buttons(Robot):
    """Four buttons: the nth moves the state by n."""

    action_space = gymnasium.spaces.Discrete(4)


class Screen(gymnasium.Env):
    """Frames, of which the button that was pressed decides the brightness."""

    observation_space = gymnasium.spaces.Box(0, 255, (4, 84, 84), np.uint8)
    action_space = gymnasium.spaces.Discrete(4)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self.steps = 0
        return self._frames(0), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        self.steps += 1
        return self._frames(int(action)), float(action), False, self.steps == STEPS, {}

    def _frames(self, action: int) -> np.ndarray:
        return self.np_random.integers(0, 60 * (action + 1), (4, 84, 84)).astype(np.uint8)


class Unseeded(Robot):
    """It begins anywhere, whatever the seed."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        return super().reset(seed=int.from_bytes(os.urandom(4), "little"))


class Fire(Robot):
    """Its own code fails at the third step, whoever plays."""

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        if self.steps == 2:
            raise ValueError("the motor is on fire")
        return super().step(action)


class Leaves(Robot):
    """It takes the process with it."""

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        raise SystemExit(0)


class NoReward(Robot):
    """NaN instead of the last reward, which no policy sees."""

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        state, reward, terminated, truncated, info = super().step(action)
        return state, float("nan") if truncated else reward, terminated, truncated, info


class Killed(Robot):
    """The process that plays seed 1 is killed."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        if seed == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().reset(seed=seed)


class Endless(Robot):
    """It leaves the number of its process in the current folder, and never ends."""

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        (Path.cwd() / f"{os.getpid()}.playing").touch()
        time.sleep(0.01)
        return self.state, 0.0, False, False, {}


def robot() -> Robot:
    return Robot()


def nothing() -> int:
    return 5


not_callable = 3
