"""Target ``torchscript``: through ``torch.jit.trace``, for those who still run libtorch.

PyTorch has deprecated TorchScript (2.11); it still traces and runs.
"""

import io
import warnings
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from dt_runtime.contract import EXTRA_FILE, Contract, ContractError
from torch import nn

from dt_export.errors import UsageError
from dt_export.targets.artifact import Opened, example_inputs

SUFFIX = ".pt"
NOTE = "PyTorch has deprecated TorchScript: prefer ONNX where you can."


def trace(module: nn.Module, contract: Contract) -> torch.jit.ScriptModule:
    """Trace and freeze a graph; sizes stay symbolic, because the graphs take none as a number."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        traced = torch.jit.trace(module, example_inputs(contract), check_trace=False)
        return torch.jit.freeze(traced.eval())


def write(module: torch.jit.ScriptModule, contract: Contract, path: Path) -> None:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(module, buffer, _extra_files={EXTRA_FILE: contract.to_json()})
    path.write_bytes(_without_debug_records(buffer))


def _without_debug_records(buffer: io.BytesIO) -> bytes:
    """The archive without its tables of source lines: they name paths of this machine."""
    stripped = io.BytesIO()
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(stripped, "w") as new:
        for record in old.infolist():
            if not record.filename.endswith(".debug_pkl"):
                new.writestr(zipfile.ZipInfo(record.filename), old.read(record))
    return stripped.getvalue()


def read(path: Path, provider: str = "cpu") -> Opened:
    """Open a TorchScript file with PyTorch.

    Raises:
        ContractError: not a TorchScript file, or one without our contract.
        UsageError: CUDA was asked for and PyTorch has none.
    """
    if provider not in ("cpu", "cuda", "auto"):
        raise UsageError(f"--provider is {provider!r}, expected cpu, cuda or auto")
    if provider == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"--provider cuda: this PyTorch ({torch.__version__}) finds no CUDA")
    device = "cuda" if provider != "cpu" and torch.cuda.is_available() else "cpu"
    if not zipfile.is_zipfile(path):
        raise ContractError(f"{path} is no TorchScript file (not a zip archive)")
    extra = {EXTRA_FILE: ""}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            module = torch.jit.load(path, map_location=device, _extra_files=extra)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise ContractError(f"{path} cannot be read as TorchScript: {reason}") from None
    if not extra[EXTRA_FILE]:
        raise ContractError(
            f"{path} is a TorchScript file without dt-export's contract ({EXTRA_FILE}); "
            "make one with `dt-export torchscript --model MODEL`"
        )
    text = extra[EXTRA_FILE]
    contract = Contract.from_json(text.decode() if isinstance(text, bytes) else text)

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        tensors = [torch.from_numpy(inputs[spec.name]).to(device) for spec in contract.inputs]
        with torch.no_grad():
            outputs = module(*tensors)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        names = [spec.name for spec in contract.outputs]
        return {name: out.cpu().numpy() for name, out in zip(names, outputs, strict=True)}

    return Opened(contract, run, device)


def operators(path: Path) -> Counter[str]:
    """How many there are of each operator in the frozen graph."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        graph = torch.jit.load(path, map_location="cpu").inlined_graph
    return Counter(node.kind() for node in graph.nodes() if node.kind() != "prim::Constant")
