"""``dt-export run``: an artifact in a Gymnasium environment."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dt_runtime import Episode, OnnxEngine, Policy, rollout

from dt_export.errors import UsageError
from dt_export.targets.opening import opening


def open_policy(
    path: Path, provider: str = "cpu", threads: int = 1, slots: int | str | None = None
) -> Policy:
    """A policy, its errors turned into usage errors."""
    if path.suffix not in (".onnx", ".ort"):
        raise UsageError(
            f"{path}: `run` takes an .onnx or .ort artifact; make one with `dt-export onnx`"
        )
    with opening(path, provider):
        engine = OnnxEngine(path, provider, threads)
    try:
        return Policy(engine, slots=slots)
    except ValueError as error:  # of the graph and of the number of slots
        raise UsageError(f"{path}: {error}") from None


def make_environment(typed: str | None, stated: str | None = None) -> Any:
    """A Gymnasium environment by name.

    Args:
        typed: the name that the user typed. Of ``module:Name-v0`` the module is imported.
        stated: the name that stands in a file, for want of another. What a file names is never
            imported, for its module may do anything.

    Raises:
        UsageError: gymnasium is missing, the name is unknown or that of a module in a file, the
            environment cannot be made, or neither says which.
    """
    name = typed or stated
    if name is None:
        raise UsageError("--env is missing, and the contract names no environment")
    if typed is None and ":" in name:
        raise UsageError(
            f"the environment {name} stands in a file and would import the module "
            f"{name.partition(':')[0]}: if you trust that module, name it yourself with --env"
        )
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
    except (Exception, SystemExit) as error:  # its own code, or arguments that it would need
        raise UsageError(f"--env {name} cannot be made: {type(error).__name__}: {error}") from error


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
    except SystemExit as error:  # which would pass for the end of the command
        raise UsageError(f"the environment left with exit code {error.code}") from error
    finally:
        environment.close()
