"""What must hold of a success: finite numbers, and facts that can be. Written down a second time
here, and on purpose not taken from the code that is judged."""

import ctypes
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from dt_runtime.contract import Contract, ContractError

from dt_export.checkpoints import Checkpoint

LONGEST = 1_000_000  # timesteps of a context or an episode that anybody could mean


def of_checkpoint(checkpoint: Checkpoint) -> list[str]:
    insane = []
    for name, tensor in checkpoint.model.state_dict().items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            insane.append(f"a parameter is not finite: {name}")
            break
    config, facts = checkpoint.model.config, checkpoint.facts
    size = math.prod(config.state_shape)
    insane += _whole("context_length", facts.context_length, 1, LONGEST)
    insane += _whole("first_timestep", facts.first_timestep, 0, config.max_ep_len)
    insane += _numbers("state_mean", facts.state_mean, size)
    insane += _numbers("state_std", facts.state_std, size, positive=True)
    return insane + _common(facts, config.act_dim, facts.return_scale, facts.target_returns)


def of_contract(contract: Contract) -> list[str]:
    insane = _whole("context_length", contract.context_length, 1, LONGEST)
    insane += _whole("max_ep_len", contract.max_ep_len, 1, 1 << 40)
    insane += _whole("first_timestep", contract.first_timestep, 0, 1 << 40)
    insane += _whole("action.size", contract.action.size, 1, 1 << 31)
    if insane:
        return insane
    tensors = (*contract.inputs, *contract.outputs)
    for shape in (contract.state.shape, *(spec.shape for spec in tensors)):
        if not isinstance(shape, tuple):
            return [f"a shape is {shape!r:.40}"]
    for axis in contract.state.shape:
        insane += _whole("state.shape", axis, 1, 1 << 31)
    if contract.action.kind not in ("continuous", "discrete"):
        insane.append(f"action.kind is {contract.action.kind!r:.40}")
    for field in ("graph", "dialect", "precision", "format"):
        if not isinstance(getattr(contract, field), str):
            insane.append(f"{field} is {type(getattr(contract, field)).__name__}")
    if insane:
        return insane
    insane += _numbers("state.mean", contract.state.mean, contract.state.size)
    insane += _numbers("state.std", contract.state.std, contract.state.size, positive=True)
    for spec in tensors:
        if not isinstance(spec.name, str) or not isinstance(spec.dtype, str):
            insane.append("a tensor's name or dtype is no string")
        for axis in spec.shape:
            if type(axis) not in (int, str) or (type(axis) is int and axis < 0):
                insane.append(f"an axis is {axis!r:.40}")
    bounds = _Bounds(contract)
    return insane + _common(
        bounds, contract.action.size, contract.return_scale, contract.target_returns
    )


class _Bounds:
    """A contract's action under the names of ``Facts``."""

    def __init__(self, contract: Contract):
        action = contract.action
        self.action_low, self.action_high = action.low, action.high
        self.action_scale, self.action_offset = action.scale, action.offset
        self.environment = contract.environment


def _common(facts: Any, actions: int, return_scale: Any, targets: Any) -> list[str]:
    insane = []
    if type(return_scale) not in (int, float) or not 0 < return_scale < math.inf:
        insane.append(f"return_scale is {return_scale!r:.40}")
    insane += _numbers("target_returns", targets, None)
    for name in ("action_low", "action_high", "action_scale", "action_offset"):
        insane += _numbers(name, getattr(facts, name), actions)
    low, high = facts.action_low, facts.action_high
    both = not insane and low is not None and high is not None
    if both and any(a > b for a, b in zip(low, high, strict=True)):
        insane.append("action_low is above action_high")
    scale = facts.action_scale
    if not insane and scale is not None and any(value == 0 for value in scale):
        insane.append("action_scale holds a zero")
    if not isinstance(facts.environment, str | None):
        insane.append(f"environment is {type(facts.environment).__name__}")
    return insane


def _whole(name: str, value: Any, low: int, high: int) -> list[str]:
    fits = type(value) is int and low <= value <= high
    return [] if fits else [f"{name} is {_shown(value)}"]


def _numbers(name: str, values: Any, size: int | None, positive: bool = False) -> list[str]:
    if values is None:
        return []
    if not isinstance(values, tuple | list):
        return [f"{name} is {type(values).__name__}"]
    if size is not None and len(values) != size:
        return [f"{name} has {len(values)} values, expected {size}"]
    for value in values:
        if type(value) not in (int, float) or not abs(value) < 3.5e38:
            return [f"{name} holds {_shown(value)}"]
        if positive and value <= 0:
            return [f"{name} holds {_shown(value)}"]
    return []


def _shown(value: Any) -> str:
    digits = type(value) is int and value.bit_length() > 200
    return "an integer of many digits" if digits else f"{value!r:.40}"


def of_action(contract: Contract, action: Any, batch_size: int) -> list[str]:
    """Whether what ``act`` returned may go to the motors."""
    spec, action = contract.action, np.asarray(action)
    rows = () if batch_size == 1 else (batch_size,)
    if spec.kind == "discrete":
        if action.shape != rows or ((action < 0) | (action >= spec.size)).any():
            return [f"the action is {action!r:.60}"]
        return []
    if action.shape != (*rows, spec.size):
        return [f"the action has shape {action.shape}"]
    if not np.isfinite(action).all():
        return ["the action is not finite"]
    for bound, beyond in ((spec.low, np.less), (spec.high, np.greater)):
        if bound is not None and beyond(action, np.asarray(bound, np.float32)).any():
            return ["the action is out of bounds"]
    return []


def misbehave(how: str) -> list[str]:
    """Each of these must become a finding of its kind."""
    canary = os.environ["FUZZ_CANARY"]
    match how:
        case "nothing":
            pass
        case "crash":
            ctypes.string_at(0)
        case "abort":
            os.abort()
        case "exit":
            os._exit(3)
        case "hang":
            time.sleep(1000)
        case "spin":
            while True:
                pass
        case "allocate":
            np.zeros(4 << 30, np.uint8)
        case "allocate quietly":
            try:
                np.zeros(4 << 30, np.uint8)
            except MemoryError as error:
                raise ContractError(f"too large: {error}") from None
        case "touch":
            np.ones(500 << 20, np.uint8)
        case "raise":
            raise KeyError("a bug")
        case "system":
            os.system("true")
        case "swallowed":
            try:
                os.system("true")
            except Exception:
                raise ContractError("refused, but too late") from None
        case "canary":
            Path(canary).write_text("")
        case "import":
            import this  # noqa: F401
        case "write":
            Path("/tmp/fuzz-wrote-this").write_text("")
        case "change":
            Path("input").write_text("other")
        case "create":
            Path("output").write_text("new")
        case "print":
            os.write(2, b"a native library says\n")
        case "insane":
            return ["a fact that cannot be"]
    return []
