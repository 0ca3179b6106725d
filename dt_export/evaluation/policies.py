"""Opening an artifact as a policy, with messages for the user."""

from pathlib import Path

from dt_runtime import ArgumentError, Library, Policy
from dt_runtime.engine import Engine

from dt_export.errors import UsageError
from dt_export.targets import BY_SUFFIX
from dt_export.targets.opening import opening


def open_policy(
    path: Path, provider: str = "cpu", threads: int = 1, slots: int | str | None = None
) -> Policy:
    """A policy from a file that ``dt_runtime`` can open.

    Raises:
        UsageError: another kind of file, one that cannot be opened, a graph that is no policy, or
            a number of slots that it does not have.
    """
    return policy_of(open_engine(path, provider, threads), path, slots=slots)


def open_engine(path: Path, provider: str = "cpu", threads: int = 1) -> Engine | Library:
    """The engine of such a file, or the library of a compiled policy.

    Raises:
        UsageError: another kind of file, or one that cannot be opened.
    """
    openers = {suffix: target.engine for suffix, target in BY_SUFFIX.items() if target.engine}
    if path.suffix not in openers:
        raise UsageError(
            f"{path}: expected an artifact ending in {', '.join(openers)}; make one with "
            "`dt-export onnx`"
        )
    with opening(path, provider):
        return openers[path.suffix](path, provider, threads)


def policy_of(
    engine: Engine | Library, path: Path, *, batch_size: int = 1, slots: int | str | None = None
) -> Policy:
    """A policy on an open file; ``path`` is for messages.

    Raises:
        UsageError: the graph is no policy, or the file has no such batch size or number of slots.
    """
    try:
        return Policy(engine, batch_size=batch_size, slots=slots)
    except ArgumentError as error:
        raise UsageError(f"{path}: {error}") from None
