"""What a case is run against. Each function returns what is insane about a success, if anything.

They run in the child, in the folder of the case. Errors that are no refusals are findings.
"""

from pathlib import Path
from typing import Any

import dt_runtime
from dt_runtime.contract import Contract, ContractError

from dt_export.checkpoints import load as load_checkpoint
from dt_export.errors import UsageError
from dt_export.facts import Overrides
from dt_export.targets import inspect as inspect_artifact
from dt_export.targets import open_artifact
from fuzz import misuse, sanity


def refusals(surface: str) -> tuple[type[Exception], ...]:
    """The error classes that a surface may raise."""
    if surface in ("checkpoint", "inspect", "artifact"):
        return (UsageError, ContractError)
    return (ContractError,)


def refuses_in_words(surface: str, error: BaseException) -> bool:
    """Whether an error that ``dt_runtime`` raised on purpose is one that a policy documents."""
    return surface in ("policy", "calls") and misuse.documented(error)


def comes_from_the_engine(surface: str, where: str) -> bool:
    """Whether ONNX Runtime refused to go on with a graph that is damaged inside."""
    return surface == "policy" and "onnxruntime_inference_collection.py" in where


def checkpoint(path: str, overrides: dict[str, Any] | None = None, **options: Any) -> list[str]:
    """``load``; a path that begins with ``./`` is in the case's folder, others are as typed."""
    known = dict(overrides or {})
    if isinstance(known.get("stats"), str):
        known["stats"] = Path(known["stats"])
    return sanity.of_checkpoint(load_checkpoint(path, Overrides(**known), **options))


def contract(path: str) -> list[str]:
    """``Contract.from_json`` on a text file; surrogates come through."""
    content = Path(path).read_bytes()
    try:
        text = content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return sanity.of_contract(Contract.from_json(text))


def inspect(path: str) -> list[str]:
    read, counted, *_ = inspect_artifact(Path(path))
    insane = sanity.of_contract(read)
    return insane if counted else [*insane, "no operators"]


def artifact(path: str) -> list[str]:
    return sanity.of_contract(open_artifact(Path(path)).contract)


def policy(path: str) -> list[str]:
    """Open an artifact, reset, act three times: refused, or finite and within bounds."""
    opened = dt_runtime.Policy(Path(path))
    return sanity.of_contract(opened.contract) or misuse.plain_steps(opened)


def calls(path: str, batch_size: int, steps: list[list[Any]]) -> list[str]:
    """A sequence of calls on a policy and on an undisturbed twin."""
    return misuse.compare(Path(path), batch_size, steps)


def misbehave(how: str) -> list[str]:
    """What a finding is made of, on purpose: the judge is tested with it."""
    return sanity.misbehave(how)
