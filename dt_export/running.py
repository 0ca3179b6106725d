"""``dt-export run``: an artifact in a Gymnasium environment."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dt_runtime import Contract, ContractError, Episode, Policy, rollout

from dt_export.errors import UsageError


def open_policy(
    path: Path, provider: str = "cpu", threads: int = 1, slots: str | None = None
) -> Policy:
    """A policy, its errors turned into usage errors; ``slots`` as on a command line."""
    count = int(slots) if slots is not None and slots.isdigit() else slots
    if path.suffix not in (".onnx", ".ort"):
        raise UsageError(
            f"{path}: `run` takes an .onnx or .ort artifact; make one with `dt-export onnx`"
        )
    try:
        return Policy(path, provider=provider, threads=threads, slots=count)
    except (ContractError, FileNotFoundError, ValueError, RuntimeError, ImportError) as error:
        raise UsageError(str(error)) from None


def make_environment(name: str | None, contract: Contract) -> Any:
    """A Gymnasium environment by name, or the one that the contract names.

    Raises:
        UsageError: gymnasium is missing, the name is unknown, or neither says which.
    """
    name = name or contract.environment
    if name is None:
        raise UsageError("--env is missing, and the contract names no environment")
    try:
        import gymnasium
    except ImportError:
        raise UsageError(
            "`dt-export run` needs gymnasium: `pip install 'dt-export[gym]'`"
        ) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice on newer versions of an environment
            return gymnasium.make(name)
    except gymnasium.error.Error as error:
        raise UsageError(f"--env {name}: {error}") from None
    except ImportError as error:
        raise UsageError(
            f"--env {name} needs more than is installed ({error}): `pip install 'dt-export[gym]'`"
        ) from None


def run(
    policy: Policy,
    environment: Any,
    episodes: int,
    target_return: float | None,
    seed: int | None,
    on_step: Callable[[int, int, float], None] | None = None,
) -> list[Episode]:
    """Episodes in a row; see ``dt_runtime.rollout``."""
    if episodes < 1:
        raise UsageError(f"--episodes is {episodes}, expected at least 1")
    try:
        return rollout(
            policy, environment, episodes, target_return=target_return, seed=seed, on_step=on_step
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    finally:
        environment.close()
