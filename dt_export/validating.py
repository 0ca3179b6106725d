"""Is an artifact equal to its checkpoint? ``dt-export validate`` as functions."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from dt_runtime import ArgumentError
from dt_runtime.golden import Golden, GoldenError
from dt_runtime.golden import replay as replay_golden

from dt_export.checkpoints import Checkpoint
from dt_export.errors import UsageError
from dt_export.facts import Overrides
from dt_export.process.terminal import one_line
from dt_export.targets import Opened
from dt_export.validation import Report, check
from dt_export.validation.episodes import close_loop
from dt_export.validation.paired import EPISODES, parse_allowed
from dt_export.validation.pairing import pair
from dt_export.validation.report import Replayed
from dt_export.validation.trace import replay_trace
from dt_export.validation.trace_episodes import read_trace

OnCase = Callable[[int, int], None]


def validate(
    artifact: Path,
    model: str | None = None,
    overrides: Overrides | None = None,
    *,
    provider: str = "cpu",
    reference: str = "eager",
    seed: int | None = None,
    precision: str | None = None,
    tolerance: float | None = None,
    golden: Path | None = None,
    trace: str | None = None,
    environment: str | None = None,
    episodes: int = EPISODES,
    target_returns: tuple[float, ...] = (),
    allowed: str = "2%",
    until_sure: bool = False,
    first_seed: int = 0,
    workers: int | None = 1,
    on_case: OnCase | None = None,
    on_episode: OnCase | None = None,
) -> Report:
    """Compare an artifact with the checkpoint that it was made from.

    Args:
        artifact: an exported file of any target.
        model: the checkpoint: a preset, a path or a Hugging Face id. By default the one that the
            artifact names.
        overrides: facts that the checkpoint does not contain, as for ``load``.
        provider: the execution provider to run on.
        reference: ``eager`` PyTorch, or the installed ``transformers``.
        seed: seed of the drawn inputs. By default they are new at every call.
        precision: the precision you exported in. Others than ``fp32`` round more, which is allowed
            only if you pass them here.
        tolerance: the largest error allowed: absolute on bounded outputs, else relative to the
            output's scale. By default a small multiple of the model's own rounding.
        golden: a golden episode to replay.
        trace: recorded episodes to replay open loop: an .npz file, or a Minari dataset.
        environment: where to play episodes: a Gymnasium environment, or ``module:callable``.
        episodes: how many for each target return; of a trace, how many at most.
        target_returns: raw returns to ask for; they may be those that you chose at export. By
            default the contract's first one.
        allowed: how far the mean returns may be apart: ``2%``, or a raw return.
        until_sure: play more episodes until the confidence interval decides.
        first_seed: seed of the first episode; each later one adds 1.
        workers: processes to play in; None takes one for each core, at most 8. With more than one
            your script needs ``if __name__ == "__main__"``, since each process imports it.
        on_case: called with (cases done, cases in all).
        on_episode: the same for episodes.

    Returns:
        The report; ``report.passed`` says whether they are equal.

    Raises:
        UsageError: the artifact, the checkpoint or another input cannot be read, the provider or
            the reference is not available, or the environment cannot be made.
    """
    path, overrides = Path(artifact), overrides or Overrides()
    most = parse_allowed(allowed)
    opened, checkpoint = pair(path, model, overrides, provider)
    report = check(
        opened, checkpoint, seed=seed, reference_name=reference, precision=precision,
        tolerance=tolerance, targets=target_returns, on_case=on_case,
    )  # fmt: skip
    if golden is not None:
        report = replayed(report, opened, golden)
    if trace is not None and report.comparable:
        report = traced(report, opened, checkpoint, trace, episodes=episodes, on_episode=on_episode)
    if environment is not None and report.comparable:
        report = played(
            report, opened, checkpoint, artifact=path, model=model, overrides=overrides,
            provider=provider, environment=environment, episodes=episodes,
            target_returns=target_returns or None, allowed=most, until_sure=until_sure,
            workers=workers, seed=first_seed, on_episode=on_episode,
        )  # fmt: skip
    return report


def replayed(report: Report, opened: Opened, recording: Path) -> Report:
    """The report with what came of a golden episode.

    Raises:
        UsageError: there is no such file, it is no golden episode, or it was recorded for another
            artifact.
    """
    if not recording.is_file():
        raise UsageError(f"--golden {recording}: no such file; record one with `dt-export golden`")
    try:
        found = replay_golden(opened.engine, Golden.read(recording))
    except (GoldenError, ArgumentError) as error:
        raise UsageError(one_line(f"--golden {recording}: {error}")) from None
    first = None if found.first_mismatch is None else str(found.first_mismatch)
    result = Replayed(
        str(recording), found.acts, found.max_abs_error, found.tolerance, found.mismatches, first
    )
    return replace(report, golden=result)


def traced(
    report: Report,
    opened: Opened,
    checkpoint: Checkpoint,
    source: str,
    *,
    episodes: int | None = None,
    on_episode: OnCase | None = None,
) -> Report:
    """The report with the errors along recorded episodes, at most ``episodes`` of them.

    Raises:
        UsageError: they cannot be read or do not fit the artifact, or the graph has no actions.
    """
    found = read_trace(source, opened.contract, episodes)
    result = replay_trace(
        opened, checkpoint, found, source, precision=report.counted, tolerance=report.tolerance,
        on_episode=on_episode,
    )  # fmt: skip
    return replace(report, trace=result)


def played(report: Report, opened: Opened, checkpoint: Checkpoint, **options: Any) -> Report:
    """The report with a closed loop; ``options`` are those of ``episodes.close_loop``.

    Actions on the same observations may be as far apart as in the open loop.

    Raises:
        UsageError: see ``episodes.close_loop``.
    """
    loop = close_loop(opened, checkpoint, forced_bound=report.action_bound, **options)
    return replace(report, closed_loop=loop)
