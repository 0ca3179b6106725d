"""What a target is, said once: whoever exports, opens or inspects a file asks its Target."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dt_runtime import Library, slots
from dt_runtime.contract import Contract
from dt_runtime.engine import Engine
from dt_runtime.golden import Golden
from torch import nn

from dt_export.checkpoints.checkpoint import Checkpoint
from dt_export.errors import UsageError
from dt_export.files.ours import is_artifact
from dt_export.graphs import GRAPHS, Kind
from dt_export.graphs.kind import BATCH, SEQUENCE
from dt_export.graphs.step import SLOTS
from dt_export.options import Options, precisions_of
from dt_export.targets.artifact import Opened

Episode = Callable[[], Golden] | None  # records one; None if the user wants no validation


@dataclass(frozen=True)
class Written:
    """A file of an export."""

    path: Path
    what: str  # in a few words, for people
    ours: Callable[[Path], bool] = is_artifact  # whether an existing file is an earlier one of it


def any_checkpoint(checkpoint: Checkpoint, options: Any) -> Any:
    return options


def static_sizes(options: Options, context_length: int) -> dict[str, int]:
    """The axes that ``--static-batch`` and ``--static-length`` fix."""
    sizes = {} if options.static_length is None else {SEQUENCE: options.static_length}
    if options.static_batch is not None:
        sizes |= {BATCH: options.static_batch, SLOTS: min(slots.DEFAULT, context_length)}
    return sizes


def nothing_more(
    path: Path, contract: Contract, options: Options, golden: Episode
) -> dict[str, str]:
    return {}


def no_companions(path: Path, options: Options) -> tuple[Written, ...]:
    return ()


@dataclass(frozen=True)
class Target:
    """One file format, or a family of them.

    Args:
        name: for the command line and the contract.
        suffixes: of the files that it reads.
        options: what it can be told; the choices of its ``--precision`` are what it can write.
        suffix: of the file that an export with these options writes.
        trace: turns a graph into whatever ``write`` takes. Called with the module, the contract
            that describes it, and the options.
        write: writes what was traced, and its contract, to a path, companions beside it. Always
            the same bytes, as far as the format allows.
        read: opens a file of its own on an execution provider.
        read_contract: the contract in a file of its own, of which nothing is run.
        operators: how many there are of each in a file, and a note on how they were counted.
        companions: further files that ``write`` writes, into the folder of the path that it is
            given and under these names. Called with the path that the user asked for.
        settle: the options with what follows from the checkpoint filled in; it raises UsageError
            where the target cannot write this checkpoint or not with these options. All other
            functions, except ``suffix`` and ``companions``, see the result.
        sizes: the axes that the file fixes, by name, from the options and the context length.
        producer: what the contract says about the making, beside the target and the versions.
        note: printed at each export.
        engine: opens a file for ``dt_runtime.Policy``, on an execution provider with so many
            threads: an engine, or a compiled library. None where ``dt_runtime`` cannot run such
            files.
        finish: writes the companions that are made of the finished file, once it is validated.
            Called with the file, its contract, the options, and a function that records a golden
            episode for them to replay. Returns what to say of companions, by their names. Raises
            CheckError if one does not work.
    """

    name: str
    suffixes: tuple[str, ...]
    options: type[Options]
    suffix: Callable[[Any], str]
    trace: Callable[[nn.Module, Contract, Any], Any]
    write: Callable[[Any, Contract, Path], None]
    read: Callable[[Path, str], Opened]
    read_contract: Callable[[Path], Contract]
    operators: Callable[[Path], tuple[Counter[str], str]]
    companions: Callable[[Path, Any], tuple[Written, ...]] = no_companions
    settle: Callable[[Checkpoint, Any], Any] = any_checkpoint
    sizes: Callable[[Any, int], dict[str, int]] = static_sizes
    producer: Callable[[Any], dict[str, Any]] = lambda options: {}
    note: str | None = None
    engine: Callable[[Path, str, int], Engine | Library] | None = None
    finish: Callable[[Path, Contract, Any, Episode], Mapping[str, str]] = nothing_more

    def check(self, kind: Kind, precision: str) -> None:
        """Raise UsageError if this target cannot write a graph in that precision."""
        known = precisions_of(self.options)
        if precision not in known:
            raise UsageError(
                f"--precision is {precision}, expected {' or '.join(known)} for target {self.name}"
            )
        if precision not in kind.precisions:
            graphs = [name for name, other in GRAPHS.items() if precision in other.precisions]
            raise UsageError(
                f"--precision {precision} belongs to --graph {' or '.join(graphs)}, "
                f"not to {kind.name}"
            )
