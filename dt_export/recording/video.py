"""Writing pictures as a GIF or an MP4."""

import math
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn, Protocol

from dt_export.errors import UsageError
from dt_export.files.ours import PRODUCER
from dt_export.files.writing import Output, atomic
from dt_export.process import interrupts
from dt_export.process.terminal import one_line

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".gif", ".mp4")
GIF_FPS, MP4_FPS = 15.0, 50.0  # at most so many pictures a second
LONGEST_GIF = 750  # pictures
LAST = 1.5  # seconds that the last picture stays
SAMPLES = 12  # pictures that the palette of a GIF is made of
COLORS = 64  # of the octree, which keeps the colours of small things: the robot
INSTALL = "`pip install 'dt-export[record]'`"


class Video(Protocol):
    """Takes pictures of one size."""

    def add(self, picture: "Image") -> None: ...


@dataclass(frozen=True)
class Pace:
    """How often to take a picture, so that the video plays in real time.

    Args:
        every: take a picture every so many steps.
        seconds: how long each one is shown.
    """

    every: int
    seconds: float


def check_format(output: Output) -> None:
    """Ask whether this machine can write the video, before minutes of playing.

    Raises:
        UsageError: the suffix is neither ``.gif`` nor ``.mp4``, a package is missing, or the file
            may not be written.
    """
    path, suffix = output.path, output.path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{output.flag} {path}: expected a file ending in {' or '.join(SUFFIXES)}")
    if find_spec("PIL") is None:
        raise UsageError(f"{output.flag} needs Pillow: {INSTALL}")
    if suffix == ".mp4":
        _ffmpeg(output)
    output.check()


def pace(output: Output, fps: float) -> Pace:
    """The pace of a video for an environment with ``fps`` steps a second."""
    most = GIF_FPS if output.path.suffix.lower() == ".gif" else MP4_FPS
    every = max(1, math.ceil(fps / most))
    return Pace(every, every / fps)


@contextmanager
def writing(output: Output, seconds: float) -> Iterator[Video]:
    """A video that gets its name when the body is done; nothing is left behind if it fails.

    Args:
        seconds: how long each picture is shown.

    Raises:
        UsageError: see ``check_format``, or the encoder failed.
    """
    check_format(output)
    opener = _gif if output.path.suffix.lower() == ".gif" else _mp4
    with atomic(output) as temporary, opener(output, temporary, seconds) as video:
        yield video


class _Gif:
    """Keeps pictures, packed, until all colours are known.

    Of a long episode it keeps every second one, every fourth and so on: the whole episode is there,
    in real time, and the file stays small.
    """

    def __init__(self) -> None:
        self.size = (0, 0)
        self.stride = 1
        self._packed: list[bytes] = []
        self._count = 0
        self._last = b""  # always shown: how the episode ended

    def add(self, picture: "Image") -> None:
        self.size, self._last = picture.size, zlib.compress(picture.tobytes(), 1)
        if self._count % self.stride == 0:
            self._packed.append(self._last)
        self._count += 1
        if len(self._packed) == LONGEST_GIF:
            self._packed, self.stride = self._packed[::2], 2 * self.stride

    def pictures(self) -> "list[Packed]":
        last = [self._last] if self._packed and self._packed[-1] is not self._last else []
        return [Packed(self.size, packed) for packed in (*self._packed, *last)]


@dataclass(frozen=True)
class Packed:
    """A picture in little memory."""

    size: tuple[int, int]
    data: bytes

    def unpack(self) -> "Image":
        from PIL import Image

        return Image.frombytes("RGB", self.size, zlib.decompress(self.data))


@contextmanager
def _gif(output: Output, path: Path, seconds: float) -> Iterator[Video]:
    from PIL import Image

    gif = _Gif()
    yield gif
    pictures = gif.pictures()
    if not pictures:
        return
    palette = _palette(pictures)
    frames = (
        picture.unpack().quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures
    )
    next(frames).save(
        path,
        save_all=True,
        append_images=frames,
        duration=_durations(len(pictures), seconds * gif.stride),
        loop=0,
        comment=PRODUCER.encode(),
        optimize=False,
    )


def _palette(pictures: "list[Packed]") -> "Image":
    """One palette for all: with one each, the file would be larger, and colours would flicker."""
    from PIL import Image

    last = len(pictures) - 1
    chosen = sorted({round(i * last / (SAMPLES - 1)) for i in range(SAMPLES)})
    width, height = pictures[0].size
    mosaic = Image.new("RGB", (width, height * len(chosen)))
    for row, index in enumerate(chosen):
        mosaic.paste(pictures[index].unpack(), (0, row * height))
    return mosaic.quantize(COLORS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


def _durations(count: int, seconds: float) -> list[int]:
    """Milliseconds that each picture is shown. A GIF counts in tens: what is cut off adds up."""
    ends = [round(100 * (i + 1) * seconds) * 10 for i in range(count)]
    durations = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    return [*durations[:-1], round(1000 * LAST)]


class _Mp4:
    """Hands pictures to ffmpeg, which begins with the first one: only then is their size known."""

    def __init__(self, output: Output, path: Path, fps: float, messages: IO[bytes]):
        self._output, self._path, self._fps, self._messages = output, path, fps, messages
        self._ffmpeg: subprocess.Popen[bytes] | None = None
        self._last = b""

    def add(self, picture: "Image") -> None:
        if self._ffmpeg is None:
            command = _command(self._path, picture.size, self._fps)
            with interrupts.held():  # else it could begin without anyone knowing, and go on
                self._ffmpeg = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stderr=self._messages,
                    start_new_session=True,  # Ctrl-C is for us: it ends ffmpeg too
                )
        self._last = picture.tobytes()
        self._send()

    def finish(self) -> None:
        """Wait for ffmpeg to write the rest.

        Raises:
            UsageError: it failed, for example on a full disk.
        """
        if self._ffmpeg is None:
            return
        for _ in range(round(LAST * self._fps)):
            self._send()
        try:
            self._pipe.close()
        except OSError:
            self._failed()
        if self._ffmpeg.wait() != 0:
            self._failed()

    def stop(self) -> None:
        """End ffmpeg, wherever it is."""
        if self._ffmpeg is not None:
            self._ffmpeg.kill()
            with suppress(OSError):
                self._pipe.close()
            self._ffmpeg.wait()

    @property
    def _pipe(self) -> IO[bytes]:
        assert self._ffmpeg is not None and self._ffmpeg.stdin is not None
        return self._ffmpeg.stdin

    def _send(self) -> None:
        try:
            self._pipe.write(self._last)
        except OSError:  # it has gone, and said why
            self._failed()

    def _failed(self) -> NoReturn:
        assert self._ffmpeg is not None
        self._ffmpeg.wait()
        self._messages.seek(0)
        lines = self._messages.read().decode(errors="replace").strip().splitlines()
        why = one_line(lines[-1]) if lines else f"exit code {self._ffmpeg.returncode}"
        raise UsageError(f"{self._output.flag} {self._output.path}: ffmpeg failed: {why}") from None


@contextmanager
def _mp4(output: Output, path: Path, seconds: float) -> Iterator[Video]:
    with tempfile.TemporaryFile() as messages:
        video = _Mp4(output, path, 1 / seconds, messages)
        try:
            yield video
            video.finish()
        finally:
            video.stop()


def _command(path: Path, size: tuple[int, int], fps: float) -> list[str]:
    """ffmpeg, reading pictures from its standard input."""
    from imageio_ffmpeg import get_ffmpeg_exe

    width, height = size
    read = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{fps:.6f}"]
    # 4:2:0 and the index in front: what browsers play.
    write = ["-an", "-c:v", "libx264", "-crf", "20", "-pix_fmt", "yuv420p"]
    write += ["-movflags", "+faststart", "-metadata", f"comment={PRODUCER}"]
    return [get_ffmpeg_exe(), "-y", "-v", "error", *read, "-i", "-", *write, str(path.resolve())]


def _ffmpeg(output: Output) -> None:
    """Raise UsageError where there is no encoder for MP4."""
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        raise UsageError(
            f"{output.flag} {output.path}: MP4 needs imageio-ffmpeg: {INSTALL}; a GIF does not"
        ) from None
