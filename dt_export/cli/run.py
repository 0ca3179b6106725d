"""``dt-export run``."""

import re
from dataclasses import dataclass

from dt_export.cli.options import LAST_SEED, MOST_STEPS, MOST_THREADS, Artifact, Provider
from dt_export.cli.parameters import with_tables
from dt_export.facts import LARGEST
from dt_export.flags import flag
from dt_export.process import terminal


@dataclass(frozen=True)
class Episodes:
    """What to play."""

    env: str | None = flag(
        "--env", help="A Gymnasium environment.  [default: the one in the contract]"
    )
    episodes: int = flag("--episodes", 5, help="How many episodes.", low=1, high=MOST_STEPS)
    target_return: float | None = flag(
        "--target-return",
        help="The raw return to ask for.  [default: the first one in the contract]",
        low=-LARGEST,
        high=LARGEST,
        expected="a finite number, within float32",
    )
    seed: int | None = flag(
        "--seed", help="Seed of the first episode; each later one adds 1.", low=0, high=LAST_SEED
    )
    threads: int = flag(
        "--threads",
        1,
        help="Threads inside an operator; 0 lets ONNX Runtime choose.",
        low=0,
        high=MOST_THREADS,
    )
    slots: str | None = flag(
        "--slots", help="For a step graph: how many staggered caches, or `ring`.  [default: 4]"
    )


@with_tables
def run(artifact: Artifact, provider: Provider = "cpu", *, options: Episodes) -> None:
    """Run episodes: returns and step latencies.

    Example: `dt-export run hopper.onnx --env Hopper-v5 --episodes 5`
    """
    from dt_export.cli import show
    from dt_export.evaluation.environment import make_environment
    from dt_export.evaluation.episodes import play
    from dt_export.evaluation.policies import open_policy

    console = terminal.console()
    policy = open_policy(artifact, provider, options.threads, _slots(options.slots))
    environment = make_environment(options.env, policy.contract.environment)
    with show.steps(options.episodes, console) as on_step:
        played = play(
            policy, environment, options.episodes, options.target_return, options.seed, on_step
        )
    console.print(show.episodes(played, policy.provider))


def _slots(typed: str | None) -> int | str | None:
    """The number of slots, or the word as it is, which the policy judges."""
    if typed is not None and re.fullmatch("-?[0-9]{1,9}", typed):
        return int(typed)
    return typed
