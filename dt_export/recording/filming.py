"""Recording episodes: while they are played, or several side by side."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from dt_runtime import ArgumentError, Policy
from dt_runtime.rollout import check_spaces

from dt_export.errors import UsageError
from dt_export.evaluation.watched import Plays
from dt_export.files.ours import is_video
from dt_export.files.writing import Output
from dt_export.process.terminal import one_line
from dt_export.recording.offscreen import make_rendering, picture
from dt_export.recording.shots import Filmed, Shot, shots
from dt_export.recording.video import Pace, Video, check_format, pace, writing

if TYPE_CHECKING:
    from PIL.Image import Image

    from dt_export.recording.panel import Style

FPS = 30.0  # of environments that do not say
WIDTHS = {".gif": 360, ".mp4": 480}  # of a panel, in pixels


@dataclass(frozen=True)
class Side:
    """One of several episodes that are recorded side by side."""

    title: str
    policy: Plays
    target_return: float | None = None  # raw; None asks for the contract's first target


@dataclass(frozen=True)
class Recorded:
    """One recorded episode. ``problem`` says why it broke off, if it did."""

    title: str
    steps: int
    total_return: float
    end: str  # terminated, time limit, or failed
    problem: str | None = None


def video_output(
    path: Path, inputs: Sequence[Path] = (), force: bool = False, flag: str = "--record"
) -> Output:
    """Where to write a video. Ask before minutes of playing.

    Raises:
        UsageError: the suffix is neither ``.gif`` nor ``.mp4``, Pillow or imageio-ffmpeg is
            missing, or the file may not be written.
    """
    output = Output(path, flag, is_video, tuple(inputs), force)
    check_format(output)
    return output


@contextmanager
def filmed(
    output: Output, policy: Plays, make: Callable[[str], Any], name: str, title: str
) -> Iterator[Any]:
    """An environment whose first episode is recorded while somebody plays it.

    The video gets its name at the end of the ``with`` block. If the block raises, nothing is
    written.

    Args:
        make: makes the environment in a render mode.
        name: of the environment, for messages.
        title: drawn at the top of the video.

    Raises:
        UsageError: the environment cannot render, or the video cannot be written.
    """
    env = make_rendering(make, name)
    try:
        tempo = pace(output, _fps(env))
        style = _style(output, title, policy, env, name)
        with writing(output, tempo.seconds) as video:
            see = _drawing(style, video)
            yield Filmed(env, policy, see, name=name, every=tempo.every)
    finally:
        env.close()


def record_side_by_side(
    output: Output,
    sides: Sequence[Side],
    make: Callable[[str], Any],
    name: str,
    *,
    seed: int | None = None,
    speed: float = 1.0,
    on_step: Callable[[int], None] | None = None,
) -> list[Recorded]:
    """Record one episode of each side, all beside each other and in step.

    An episode that ends before the others keeps its last picture. A policy that puts out NaN, or an
    environment that rejects its action, ends its episode as ``failed``: the video shows how far it
    came.

    Args:
        make: makes an environment in a render mode; called once for each side.
        name: of the environment, for messages.
        seed: all episodes begin with it.
        speed: of the video, 1 is real time.
        on_step: called with the number of steps that the longest episode has so far.

    Raises:
        UsageError: an environment cannot render or does not fit a policy, there is no target
            return, or the video cannot be written.
    """
    from dt_export.recording.panel import beside

    with ExitStack() as stack:
        tracks: list[_Track] = []
        tempo: Pace | None = None
        for side in sides:
            env = make_rendering(make, name)
            stack.callback(env.close)
            _check(side, env, name)
            tempo = tempo or pace(output, speed * _fps(env))
            tracks.append(_Track(output, side, env, name, seed, tempo.every))
        if tempo is None:
            raise ValueError("there are no sides to record")
        video = stack.enter_context(writing(output, tempo.seconds))
        while any([track.advance() for track in tracks]):
            video.add(beside([track.panel for track in tracks]))
            if on_step is not None:
                on_step(max(track.shot.step for track in tracks))
    return [track.recorded() for track in tracks]


def asking(policy: Plays, target_return: float | None, name: str) -> str:
    """A title: the return that is asked for, or the environment of a policy that asks for none."""
    if not any(spec.name == "returns_to_go" for spec in policy.contract.inputs):
        return name
    if target_return is None and policy.contract.target_returns:
        target_return = policy.contract.target_returns[0]
    return name if target_return is None else f"asked for {target_return:g}"


class _Track:
    """One side as it is being played."""

    def __init__(
        self, output: Output, side: Side, env: Any, name: str, seed: int | None, every: int
    ):
        self._title = side.title
        self._style = _style(output, side.title, side.policy, env, name)
        self.shot = Shot(0, picture(env, name), None, 0.0, 0.0, ())
        self.panel = self._drawn()
        self._problem: str | None = None
        self._shots = shots(
            side.policy,
            env,
            seed=seed,
            target_return=side.target_return,
            every=every,
            name=name,
        )

    def advance(self) -> bool:
        """Go on to the next picture; False where the episode is over."""
        if self.shot.end:
            return False
        try:
            self.shot = next(self._shots)
        except UsageError:
            raise
        except Exception as error:  # of the policy or in the environment: the episode failed
            self._problem = one_line(f"{type(error).__name__}: {error}")
            self.shot = replace(self.shot, end="failed")
        self.panel = self._drawn()
        return True

    def recorded(self) -> Recorded:
        shot = self.shot
        return Recorded(self._title, shot.step, shot.total, shot.end, self._problem)

    def _drawn(self) -> "Image":
        from dt_export.recording.panel import draw

        return draw(self._style, self.shot)


def _drawing(style: "Style", video: Video) -> Callable[[Shot], None]:
    from dt_export.recording.panel import draw

    return lambda shot: video.add(draw(style, shot))


def _style(output: Output, title: str, policy: Plays, env: Any, name: str) -> "Style":
    from dt_export.recording.panel import Style

    height, width, _ = picture(env, name).shape
    return Style.of(title, policy.contract, (width, height), WIDTHS[output.path.suffix.lower()])


def _fps(env: Any) -> float:
    """Steps a second."""
    stated: Any = (getattr(env, "metadata", None) or {}).get("render_fps")
    usable = isinstance(stated, int | float) and 0 < stated < 1e6
    return float(stated) if usable else FPS


def _check(side: Side, env: Any, name: str) -> None:
    """Raise UsageError where the policy does not fit the environment, or has nothing to ask for."""
    try:
        check_spaces(cast(Policy, side.policy), env)
        side.policy.reset(side.target_return)
    except ArgumentError as error:
        raise UsageError(f"--record: {one_line(name)}: {error}") from None
