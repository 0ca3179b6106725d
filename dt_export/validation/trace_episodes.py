"""Episodes that the user recorded: an .npz file, or a Minari dataset. Nothing in them is run."""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from dt_runtime.contract import Contract

from dt_export.errors import UsageError
from dt_export.process.terminal import one_line

# How episodes end, by the names that people use: any of these arrays is true at a last step.
ENDS = ("ends", "dones", "terminals", "timeouts", "terminations", "truncations")
NEEDED = ("observations", "actions", "rewards")
OPTIONAL = ("target_returns",)


@dataclass(frozen=True)
class TraceEpisode:
    """One episode of T steps, all raw."""

    number: int  # from 0
    observations: np.ndarray  # [T, S...]
    actions: np.ndarray  # [T, A], or [T] indices
    rewards: np.ndarray  # [T]
    target_return: float  # what was asked for; unless recorded, the return that was reached

    def __len__(self) -> int:
        return len(self.rewards)


def read_trace(
    source: str, contract: Contract, most: int | None = None
) -> tuple[TraceEpisode, ...]:
    """Read the episodes of a trace.

    An .npz file has arrays ``observations`` [N, S...], ``actions`` [N, A] (or [N] indices) and
    ``rewards`` [N] of all episodes in a row, and at least one of ``ENDS`` [N], true at the last
    step of each. ``target_returns`` [E] or [N] may say which raw returns were asked for. Steps
    after the last end are one more episode.

    Args:
        source: a file ending in .npz, the folder of a Minari dataset, or its id.
        contract: sizes that it has to have.
        most: how many episodes to read at most.

    Raises:
        UsageError: it cannot be read, an array is missing, has another size, or has numbers that
            are not finite; or Minari is needed and not installed.
    """
    path = Path(source)
    read = _of_file(path, contract) if path.suffix == ".npz" else _of_minari(source, contract)
    found = tuple(islice(read, most))
    if not found:
        raise UsageError(f"--trace {source} has no episode")
    return found


def _of_file(path: Path, contract: Contract) -> Iterator[TraceEpisode]:
    arrays = _arrays(path)
    missing = [name for name in NEEDED if name not in arrays]
    if missing:
        has = ", ".join(arrays) or "nothing"
        raise UsageError(
            f"--trace {path} has no array {' and no array '.join(missing)}; it has {one_line(has)}"
        )
    ends = [arrays[name] for name in ENDS if name in arrays]
    if not ends:
        raise UsageError(
            f"--trace {path} does not say where episodes end: add an array [N] that is true at "
            f"each last step, named {' or '.join(ENDS)}"
        )
    count = len(arrays["rewards"])
    for name in (*NEEDED, *(name for name in ENDS if name in arrays)):
        if len(arrays[name]) != count:
            raise UsageError(
                f"--trace {path}: {name} has {len(arrays[name])} steps, rewards have {count}"
            )
    over = np.any([np.asarray(end).reshape(count).astype(bool) for end in ends], axis=0)
    stops = [*(np.flatnonzero(over) + 1), count]
    starts = [0, *stops[:-1]]
    spans = [slice(a, b) for a, b in zip(starts, stops, strict=True) if b > a]
    asked = _asked(path, arrays.get("target_returns"), spans, count)
    for number, span in enumerate(spans):
        data = {name: arrays[name][span] for name in NEEDED}
        yield _episode(f"--trace {path}", number, data, asked[number], contract)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    known = (*NEEDED, *ENDS, *OPTIONAL)
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in known if name in archive.files}
    except FileNotFoundError:
        raise UsageError(f"--trace {path}: no such file") from None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise UsageError(one_line(f"--trace {path} cannot be read: {error}")) from None


def _asked(
    path: Path, targets: np.ndarray | None, spans: Sequence[slice], count: int
) -> list[float | None]:
    if targets is None:
        return [None] * len(spans)
    flat = np.asarray(targets, np.float64).reshape(-1)
    if len(flat) == len(spans):
        return [float(target) for target in flat]
    if len(flat) == count:
        return [float(flat[span.start]) for span in spans]
    raise UsageError(
        f"--trace {path}: target_returns has {len(flat)} numbers, expected one for each of the "
        f"{len(spans)} episodes"
    )


def _of_minari(source: str, contract: Contract) -> Iterator[TraceEpisode]:
    try:
        import minari
    except ImportError:
        raise UsageError(
            f"--trace {source} is no .npz file; to read a Minari dataset install "
            "`pip install 'dt-export[minari]'`"
        ) from None
    path = Path(source)
    try:
        if path.is_dir():
            inside = path / "data"
            dataset: Any = minari.MinariDataset(inside if inside.is_dir() else path)
        else:
            dataset = minari.load_dataset(source)
    except Exception as error:  # whatever Minari and HDF5 raise for what is no dataset of theirs
        raise UsageError(
            one_line(
                f"--trace {source} is neither an .npz file nor a Minari dataset here: "
                f"{type(error).__name__}: {error}; download one with `minari download`"
            )
        ) from None
    for number, episode in enumerate(dataset.iterate_episodes()):
        steps = len(episode.rewards)
        # One more observation than steps: what followed the last action.
        data = {
            "observations": _plain(source, episode.observations)[:steps],
            "actions": _plain(source, episode.actions),
            "rewards": episode.rewards,
        }
        yield _episode(f"--trace {source}", number, data, None, contract)


def _plain(source: str, values: Any) -> np.ndarray:
    if isinstance(values, Mapping | tuple):
        raise UsageError(
            f"--trace {source} has observations or actions in several parts "
            f"({type(values).__name__}), and a policy takes one array: flatten them into an .npz"
        )
    return np.asarray(values)


def _episode(
    what: str,
    number: int,
    data: Mapping[str, np.ndarray],
    asked: float | None,
    contract: Contract,
) -> TraceEpisode:
    steps = len(data["rewards"])
    discrete = contract.action.kind == "discrete"
    action = () if discrete else (contract.action.size,)
    shapes = {"observations": contract.state.shape, "actions": action, "rewards": ()}
    arrays = {}
    for name, shape in shapes.items():
        array = np.asarray(data[name])
        if array.dtype.kind not in "fiub":
            raise UsageError(f"{what}: {name} are {array.dtype}, expected numbers")
        if array.size != steps * int(np.prod(shape)):
            raise UsageError(
                f"{what}, episode {number}: {name} have the shape {list(array.shape[1:])} a step, "
                f"the artifact takes {list(shape)}"
            )
        if not np.isfinite(array).all():
            raise UsageError(f"{what}, episode {number}: {name} are not all finite")
        arrays[name] = array.reshape(steps, *shape)
    if discrete:
        index = arrays["actions"]
        if not (
            (index == index.astype(np.int64)) & (index >= 0) & (index < contract.action.size)
        ).all():
            raise UsageError(
                f"{what}, episode {number}: actions are not all indices from 0 to "
                f"{contract.action.size - 1}"
            )
        arrays["actions"] = index.astype(np.int64)
    reached = float(np.sum(arrays["rewards"], dtype=np.float64))
    return TraceEpisode(
        number,
        arrays["observations"],
        arrays["actions"],
        arrays["rewards"].astype(np.float64),
        reached if asked is None else asked,
    )
