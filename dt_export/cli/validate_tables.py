"""The options of ``dt-export validate`` about episodes and files."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dt_export.cli.options import LAST_SEED, MOST_STEPS
from dt_export.errors import UsageError
from dt_export.facts import LARGEST
from dt_export.flags import flag

LOOP, FILES = "Closed loop", "What is replayed, and what is written"


@dataclass(frozen=True)
class Loop:
    """Episodes of eager PyTorch and the artifact on the same seeds; none without ``env``."""

    env: str | None = flag(
        "--env",
        help="Play episodes here: a Gymnasium environment, or module:callable of your own.",
        panel=LOOP,
    )
    episodes: int = flag(
        "--episodes",
        20,
        help="How many episodes for each target return; of --trace, how many to replay at most.",
        low=1,
        high=MOST_STEPS,
        panel=LOOP,
    )
    target_return: tuple[str, ...] = flag(
        "--target-return",
        (),
        help="The raw returns to ask for, with commas between. They may be the contract's too, if "
        "you chose it at export.  [default: the first one in the contract]",
        panel=LOOP,
    )
    allowed: str = flag(
        "--allowed",
        "2%",
        help="How far the mean returns may be apart: a percentage, or a raw return.",
        panel=LOOP,
    )
    until_sure: bool = flag(
        "--until-sure",
        False,
        help="Play more episodes until the interval decides, up to 16 times as many.",
        panel=LOOP,
    )
    first_seed: int = flag(
        "--first-seed",
        0,
        help="Seed of the first episode; each later one adds 1.",
        low=0,
        high=LAST_SEED,
        panel=LOOP,
    )
    workers: int | None = flag(
        "--workers", help="Processes.  [default: one for each core, at most 8]", low=1, high=256,
        panel=LOOP,
    )  # fmt: skip

    @property
    def targets(self) -> tuple[float, ...]:
        """The returns as numbers.

        Raises:
            UsageError: one is none, or beyond float32.
        """
        found: list[float] = []
        for word in self.target_return:
            with suppress(ValueError):
                if abs(number := float(word)) <= LARGEST:
                    found.append(number)
                    continue
            raise UsageError(
                f"--target-return is {word!r}, expected finite numbers with commas between them"
            )
        return tuple(found)


@dataclass(frozen=True)
class Files:
    """Further inputs, and what is written."""

    golden: Path | None = flag(
        "--golden", help="Replay this golden episode of `dt-export golden`.", panel=FILES
    )
    trace: str | None = flag(
        "--trace",
        help="Replay your own episodes open loop: an .npz file, or a Minari dataset.",
        panel=FILES,
    )
    json: Path | None = flag("--json", help="Write everything to this file.", panel=FILES)
    junit: Path | None = flag(
        "--junit", help="Write JUnit XML for a CI server, a case for each check.", panel=FILES
    )
    report: Path | None = flag(
        "--report", help="Write one self-contained HTML page, to attach to a release.", panel=FILES
    )
    record: Path | None = flag(
        "--record",
        help="With --env: record eager PyTorch and the artifact side by side, as .gif or .mp4.",
        panel=FILES,
    )


def check(loop: Loop, files: Files) -> None:
    """Raise UsageError for options that need another, for a file that is not there, and for two
    outputs in one file."""
    given = {
        "--until-sure": loop.until_sure,
        "--workers": loop.workers is not None,
        "--record": files.record is not None,
    }
    for name, there in given.items():
        if there and loop.env is None:
            raise UsageError(f"{name} needs episodes: add --env")
    if files.golden is not None and not files.golden.is_file():
        raise UsageError(
            f"--golden {files.golden}: no such file; record one with `dt-export golden`"
        )
    if files.trace is not None and files.trace.endswith(".npz") and not Path(files.trace).is_file():
        raise UsageError(f"--trace {files.trace}: no such file")
    written: dict[Path, str] = {}
    for name in ("json", "junit", "report", "record"):
        path = getattr(files, name)
        if path is not None and written.setdefault(path.resolve(), name) != name:
            other = written[path.resolve()]
            raise UsageError(f"--{name} {path} is the file of --{other} too: choose another name")
