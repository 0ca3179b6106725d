"""Candidates before they are measured: each one made, or the reason why it is not available."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dt_runtime import Contract
from dt_runtime.slots import fixed_slots

from dt_export.bench import compiled, kinds
from dt_export.bench.artifacts import runtime_file
from dt_export.bench.candidate import Candidate, Setting
from dt_export.bench.catalogue import Entry
from dt_export.bench.eager import torchscript_file
from dt_export.errors import UsageError
from dt_export.targets import read_contract, target_of, torchscript

SLOTS = (1, 4)  # that a step artifact is measured with: the fewest, and the default

LONGEST = 200  # characters of a reason

# How files are measured that ``dt_runtime`` cannot open, by target.
ELSEWHERE = {torchscript.TARGET.name: torchscript_file}


@dataclass(frozen=True)
class Attempt:
    """A candidate, or the reason why there is none, and what its work depends on."""

    key: str
    title: str
    precision: str = "fp32"
    slots: int | None = None  # of a step; None for whole windows
    candidate: Candidate | None = None
    reason: str | None = None


def from_catalogue(
    entries: Sequence[Entry], setting: Setting, on_progress: Callable[[str, int, int], None]
) -> Iterator[Attempt]:
    """An attempt for each entry. ``on_progress`` is called with (what is made now, done, of)."""
    for index, entry in enumerate(entries):
        on_progress(f"making {entry.title}", index, len(entries))
        candidate, reason = _made(partial(entry.make, setting))
        yield Attempt(entry.key, entry.title, entry.precision, entry.slots, candidate, reason)


def from_files(artifacts: Sequence[Path], setting: Setting) -> Iterator[Attempt]:
    """An attempt for each artifact, and for a step artifact one for each number of slots."""
    distinct = len({path.name for path in artifacts}) == len(artifacts)
    for path in artifacts:
        contract = read_contract(path)
        for slots in _slots(contract):
            suffix = "" if slots is None else f", {slots} slot{'s' * (slots > 1)}"
            title = f"{path.name if distinct else path}{suffix}"
            candidate, reason = _made(partial(_artifact, path, contract, setting, slots))
            yield Attempt(f"{path}{suffix}", title, contract.precision, slots, candidate, reason)


def _slots(contract: Contract) -> tuple[int | None, ...]:
    """The numbers of slots that an artifact is measured with."""
    if not kinds.has_slots(contract.graph):
        return (None,)
    fixed = fixed_slots(contract)
    return SLOTS if fixed is None else (fixed,)


def _made(make: Callable[[], Candidate]) -> tuple[Candidate | None, str | None]:
    """(candidate, None), or (None, reason)."""
    try:
        return make(), None
    except UsageError as error:  # a candidate that is not available must not stop the others
        return None, _one_line(str(error))


def _one_line(text: str) -> str:
    line = (text.strip().splitlines() or [""])[0]
    return line if len(line) <= LONGEST else line[: LONGEST - 3] + "..."


def _artifact(path: Path, contract: Contract, setting: Setting, slots: int | None) -> Candidate:
    if not kinds.takes_observations(contract.graph):
        raise UsageError(f"a {contract.graph} takes embeddings, and bench has only observations")
    if contract.compiled:
        return compiled.artifact(path, setting)
    if contract.batch_size not in (None, setting.batch):
        raise UsageError(f"its batch is fixed at {contract.batch_size}, --batch is {setting.batch}")
    if kinds.runs_in_runtime(path):
        return runtime_file(path, setting, slots)
    target = target_of(path).name
    if target not in ELSEWHERE:
        raise UsageError(f"bench does not measure files of target {target}")
    return ELSEWHERE[target](path, contract.inputs, setting)
