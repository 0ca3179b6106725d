"""Errors of an artifact, or of the provider that should run it, as messages for the user."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dt_runtime.contract import ContractError

from dt_export.errors import UsageError


@contextmanager
def opening(path: Path, provider: str) -> Iterator[None]:
    """Turn the runtime's errors of a file or provider into usage errors that name the file.

    No others: what the runtime does not declare is a bug.
    """
    try:
        _quieten()
        yield
    except (ContractError, FileNotFoundError, ImportError) as error:
        raise UsageError(_named(path, error)) from None
    except RuntimeError as error:  # a provider that cannot be had
        if provider == "cpu":
            raise
        raise UsageError(_named(path, error)) from None


@functools.cache
def _quieten() -> None:
    """ONNX Runtime says its errors twice, raised and logged: keep the first."""
    with suppress(ImportError):
        import onnxruntime

        onnxruntime.set_default_logger_severity(4)


def _named(path: Path, error: Exception) -> str:
    text = str(error)
    return text if str(path) in text else f"{path}: {text}"
