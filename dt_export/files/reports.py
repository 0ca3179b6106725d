"""JSON reports: each says who wrote it and in which format, and no number in it is NaN."""

import json
import math
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dt_export.files.ours import PRODUCER, is_report
from dt_export.files.writing import Output, atomic

PACKAGES = ("dt-export", "dt-runtime", "torch", "onnxruntime", "onnxruntime-gpu", "numpy")


def json_report(format: str, content: Mapping[str, Any]) -> str:
    """The text of a report. Numbers that are not finite become null: JSON has no word for them.

    Args:
        format: ``major.minor`` of this kind of report; a reader refuses another major.
    """
    document = {"producer": PRODUCER, "format": format, **content}
    return json.dumps(_finite(document), indent=1, allow_nan=False) + "\n"


def parse_report(text: str, format: str) -> dict[str, Any]:
    """The content of a report, without producer and format.

    Raises:
        ValueError: it is no JSON object, or of another major format.
    """
    document = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError(f"expected a JSON object, found {type(document).__name__}")
    found = str(document.get("format"))
    if found.split(".")[0] != format.split(".")[0]:
        raise ValueError(f"format is {found!r}, expected {format!r}")
    return {name: value for name, value in document.items() if name not in ("producer", "format")}


def write_report(
    text: str, path: Path, *, flag: str = "--json", inputs: Iterable[Path] = (), force: bool = False
) -> None:
    """Write a report, all of it or nothing.

    Raises:
        UsageError: the file is one of ``inputs``, or exists, is no report of ours and there is no
            ``force``, or it cannot be written.
    """
    with atomic(Output(path, flag, is_report, tuple(inputs), force)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """The versions of those packages that are installed."""
    found = {package: installed(package) for package in packages}
    return {package: known for package, known in found.items() if known is not None}


def installed(package: str) -> str | None:
    """The version of a package, None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
