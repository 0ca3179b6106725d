"""Opening an artifact as a policy, with messages for the user."""

from pathlib import Path

from dt_runtime import ArgumentError, OnnxEngine, Policy
from dt_runtime.engine import Engine

from dt_export.errors import UsageError
from dt_export.targets.opening import opening


def open_policy(
    path: Path, provider: str = "cpu", threads: int = 1, slots: int | str | None = None
) -> Policy:
    """A policy from an .onnx or .ort file.

    Raises:
        UsageError: another kind of file, one that cannot be opened, a graph that is no policy, or
            a number of slots that it does not have.
    """
    if path.suffix not in (".onnx", ".ort"):
        raise UsageError(
            f"{path}: expected an .onnx or .ort artifact; make one with `dt-export onnx`"
        )
    with opening(path, provider):
        engine = OnnxEngine(path, provider, threads)
    return policy_of(engine, path, slots=slots)


def policy_of(
    engine: Engine, path: Path, *, batch_size: int = 1, slots: int | str | None = None
) -> Policy:
    """A policy on an open file; ``path`` is for messages.

    Raises:
        UsageError: the graph is no policy, or the file has no such batch size or number of slots.
    """
    try:
        return Policy(engine, batch_size=batch_size, slots=slots)
    except ArgumentError as error:
        raise UsageError(f"{path}: {error}") from None
