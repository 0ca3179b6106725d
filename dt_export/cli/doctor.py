"""``dt-export doctor``: versions, execution providers, and how to get what is missing."""

import platform

from dt_export.cli.models import bundled_present
from dt_export.errors import CheckError
from dt_export.files.reports import installed
from dt_export.process import terminal

# package -> (what installs it, or "" where dt-export already requires it)
PACKAGES = {
    "dt-export": "",
    "dt-runtime": "",
    "torch": "",
    "onnx": "",
    "onnxscript": "",
    "numpy": "",
    "safetensors": "",
    "huggingface_hub": "",
    "transformers": "optional: pip install transformers (for --reference transformers)",
    "gymnasium": "optional: pip install 'dt-export[gym]' (for `run`)",
    "mujoco": "optional: pip install 'dt-export[gym]' (for `run`)",
}


def doctor() -> None:
    """Show versions and execution providers, and how to get what is missing."""
    from dt_export.cli import show

    found = rows()
    terminal.console().print(show.health(found))
    if not healthy(found):
        raise CheckError("something that dt-export needs is missing")


def rows() -> list[tuple[str, str, str]]:
    """(what, found, how to get it); the last is empty if all is well."""
    found = [("python", platform.python_version(), "")]
    for package, remedy in PACKAGES.items():
        seen = installed(package)
        found.append((package, seen or "missing", "" if seen else remedy or "reinstall dt-export"))
    return [*found, *_runtime(), _bundled()]


def healthy(found: list[tuple[str, str, str]]) -> bool:
    """Whether everything that is not optional is there."""
    return all(not remedy or remedy.startswith("optional") for _, _, remedy in found)


def _runtime() -> list[tuple[str, str, str]]:
    name = next((n for n in ("onnxruntime", "onnxruntime-gpu") if installed(n)), None)
    if name is None:
        return [("onnxruntime", "missing", "pip install 'dt-runtime[cpu]' or 'dt-runtime[gpu]'")]
    from dt_runtime import available_providers

    offered = available_providers()
    cuda = "CUDAExecutionProvider" in offered
    remedy = "" if cuda else "optional: pip install 'dt-runtime[gpu]' in place of [cpu]"
    return [
        (name, installed(name) or "", ""),
        ("execution providers", ", ".join(offered), ""),
        ("CUDA in ONNX Runtime", "yes" if cuda else "no", remedy),
    ]


def _bundled() -> tuple[str, str, str]:
    present = bundled_present("hopper")
    return (
        "bundled hopper",
        "yes" if present else "missing",
        "" if present else "reinstall dt-export",
    )
