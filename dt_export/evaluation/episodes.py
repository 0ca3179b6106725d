"""Playing episodes with messages for the user."""

from collections.abc import Callable
from typing import Any, cast

from dt_runtime import ArgumentError, Episode, OutputError, Policy, rollout
from dt_runtime.rollout import check_spaces

from dt_export.errors import CheckError, UsageError
from dt_export.process.terminal import one_line


def play(
    policy: Policy,
    environment: Any,
    episodes: int,
    target_return: float | None,
    seed: int | None,
    on_step: Callable[[int, int, float], None] | None = None,
) -> list[Episode]:
    """Episodes in a row, as ``dt_runtime.rollout`` plays them; closes the environment.

    Raises:
        UsageError: no episodes, spaces of the environment that are not the policy's, no target
            return, an observation or a reward that the policy rejects, or an environment that
            calls ``sys.exit``.
        CheckError: the policy put out numbers that are not finite.
    """
    if episodes < 1:
        raise UsageError(f"--episodes is {episodes}, expected at least 1")
    try:
        _check(policy, environment, target_return)
        asked = cast(Policy, _Asked(policy))
        return rollout(
            asked, environment, episodes, target_return=target_return, seed=seed, on_step=on_step
        )
    except OutputError as error:
        raise CheckError(str(error)) from error
    except SystemExit as error:  # it would pass for the end of the command
        code = one_line(str(error.code))
        raise UsageError(f"the environment called sys.exit, exit code {code}") from error
    finally:
        environment.close()


class _Asked:
    """A policy that names the environment where it rejects an observation or a reward.

    Only here can such an error be told from one in the environment's own code.
    """

    def __init__(self, policy: Policy):
        self._policy = policy

    def __getattr__(self, name: str) -> Any:
        return getattr(self._policy, name)

    def act(self, observation: Any, reward: Any) -> Any:
        try:
            return self._policy.act(observation, reward)
        except ValueError as error:
            what = f"the environment does not keep to its spaces: {error}"
            raise UsageError(one_line(what)) from error


def _check(policy: Policy, environment: Any, target_return: float | None) -> None:
    """Ask before playing, so that an error in the middle of an episode is not taken for this."""
    try:
        check_spaces(policy, environment)
        policy.reset(target_return)
    except ArgumentError as error:
        raise UsageError(str(error)) from None
