"""``dt-export run``."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from dt_export.cli.options import LAST_SEED, MOST_STEPS, MOST_THREADS, Artifact, Force, Provider
from dt_export.cli.parameters import option, with_tables
from dt_export.facts import LARGEST
from dt_export.flags import flag
from dt_export.process import terminal

if TYPE_CHECKING:
    from dt_runtime import Policy

    from dt_export.files.writing import Output


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
def run(
    artifact: Artifact,
    provider: Provider = "cpu",
    record: Annotated[
        Path | None,
        option("--record", help="Record the first episode to this .gif or .mp4 file."),
    ] = None,
    force: Force = False,
    *,
    options: Episodes,
) -> None:
    """Run episodes: returns and step latencies.

    Example: `dt-export run hopper.onnx --env Hopper-v5 --episodes 5`
    """
    from dt_export.cli import show
    from dt_export.evaluation.episodes import play
    from dt_export.evaluation.policies import open_policy

    video = None
    if record is not None:
        from dt_export.recording.filming import video_output

        video = video_output(record, (artifact,), force)
    console = terminal.console()
    policy = open_policy(artifact, provider, options.threads, _slots(options.slots))
    with _environment(policy, options, video) as environment:
        with show.steps(options.episodes, console) as on_step:
            played = play(
                policy, environment, options.episodes, options.target_return, options.seed, on_step
            )
        console.print(show.episodes(played, policy.provider))
    if video is not None:
        console.print(show.video(video.path))


@contextmanager
def _environment(policy: "Policy", options: Episodes, video: "Output | None") -> Iterator[Any]:
    """The environment to play in; its first episode is recorded if there is a file for it."""
    from dt_export.evaluation.environment import make_environment

    stated = policy.contract.environment
    if video is None:
        yield make_environment(options.env, stated)
        return
    from dt_export.recording.filming import asking, filmed

    def make(mode: str) -> Any:
        return make_environment(options.env, stated, render_mode=mode)

    name = options.env or stated or ""
    title = asking(policy, options.target_return, name)
    with filmed(video, policy, make, name, title) as environment:
        yield environment


def _slots(typed: str | None) -> int | str | None:
    """The number of slots, or the word as it is, which the policy judges."""
    if typed is not None and re.fullmatch("-?[0-9]{1,9}", typed):
        return int(typed)
    return typed
