"""The machine that the figures were measured on."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("dt-export", "torch", "onnxruntime", "onnxruntime-gpu", "transformers", "numpy")


@dataclass(frozen=True)
class Machine:
    cpu: str  # the model's name, as the system gives it
    cores: int  # that this process may use
    system: str
    python: str
    versions: Mapping[str, str]  # of the packages that are installed


def machine() -> Machine:
    return Machine(_cpu(), _cores(), platform.system(), platform.python_version(), _versions())


def instructions() -> frozenset[str]:
    """The instruction sets of an x86 processor, as Linux names them; none elsewhere."""
    return frozenset(_said("flags").split())


def _cpu() -> str:
    return _said("model name") or platform.processor() or platform.machine()


def _said(what: str) -> str:
    """What the system says of its first processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(what)), "")


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
