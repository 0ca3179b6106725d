"""Is everything there? Versions, execution providers, and how to get what is missing."""

import platform
from importlib.metadata import PackageNotFoundError, version

from dt_export.cli.listing import bundled_present

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


def rows() -> list[tuple[str, str, str]]:
    """(what, found, how to get it); the last is empty where all is well."""
    found = [("python", platform.python_version(), "")]
    for package, remedy in PACKAGES.items():
        seen = _version(package)
        found.append((package, seen or "missing", "" if seen else remedy or "reinstall dt-export"))
    return [*found, *_runtime(), _bundled()]


def healthy(found: list[tuple[str, str, str]]) -> bool:
    """Whether nothing is missing but what is optional."""
    return all(not remedy or remedy.startswith("optional") for _, _, remedy in found)


def _runtime() -> list[tuple[str, str, str]]:
    name = next((n for n in ("onnxruntime", "onnxruntime-gpu") if _version(n)), None)
    if name is None:
        return [("onnxruntime", "missing", "pip install 'dt-runtime[cpu]' or 'dt-runtime[gpu]'")]
    from dt_runtime import available_providers

    offered = available_providers()
    cuda = "CUDAExecutionProvider" in offered
    remedy = "" if cuda else "optional: pip install 'dt-runtime[gpu]' in place of [cpu]"
    return [
        (name, _version(name) or "", ""),
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


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
