"""Target ``torchscript``: through ``torch.jit.trace``, for those who still run libtorch.

PyTorch has deprecated TorchScript (2.11); it still traces and runs.

A TorchScript file is a program: loading it runs its ``__setstate__``, which may write files. So the
contract and the code are read from the archive, and a module is loaded only where it is to run.
"""

import errno
import io
import re
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from dt_runtime.contract import EXTRA_FILE, Contract, ContractError
from torch import nn

from dt_export.errors import UsageError
from dt_export.options import Options
from dt_export.targets.artifact import Opened
from dt_export.targets.example import example_inputs
from dt_export.targets.target import Target

SUFFIX = ".pt"
LARGEST_CONTRACT = 2**26  # bytes; one with statistics of large frames has a few million
LARGEST_CODE = 2**26  # bytes of source text that are looked at
EXTRA = re.compile(rf"[^/]+/extra/{re.escape(EXTRA_FILE)}")
CODE = re.compile(r"[^/]+/code/.*\.py")
CALL = re.compile(r"\b(?:torch|ops\.\w+)\.(\w+)\(")


def trace(module: nn.Module, contract: Contract, options: Options) -> torch.jit.ScriptModule:
    """Trace and freeze a graph; sizes stay symbolic, because the graphs take none as a number."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        traced = torch.jit.trace(module, example_inputs(contract), check_trace=False)
        frozen: torch.jit.ScriptModule = torch.jit.freeze(traced.eval())
        return frozen


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
    contract = read_contract(path)
    if provider not in ("cpu", "cuda", "auto"):
        raise UsageError(f"--provider is {provider!r}, expected cpu, cuda or auto")
    if provider == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"--provider cuda: this PyTorch ({torch.__version__}) finds no CUDA")
    device = "cuda" if provider != "cpu" and torch.cuda.is_available() else "cpu"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            module = torch.jit.load(path, map_location=device)
    except Exception as error:  # a damaged program may raise anything while it is put together
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ContractError(f"{path} cannot be read as TorchScript: {reason}") from None

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        tensors = [torch.from_numpy(inputs[spec.name]).to(device) for spec in contract.inputs]
        with torch.no_grad():
            outputs = module(*tensors)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        names = [spec.name for spec in contract.outputs]
        return {name: out.cpu().numpy() for name, out in zip(names, outputs, strict=True)}

    return Opened(contract, run, device)


def read_contract(path: Path) -> Contract:
    """The contract in a TorchScript file, of which nothing is loaded.

    Raises:
        ContractError: not a TorchScript file, or one without our contract.
    """
    with _archive(path) as archive:
        found = [entry for entry in archive.infolist() if EXTRA.fullmatch(entry.filename)]
        if not found:
            raise ContractError(
                f"{path} is a TorchScript file without dt-export's contract ({EXTRA_FILE}); "
                "make one with `dt-export torchscript --model MODEL`"
            )
        if len(found) > 1:
            raise ContractError(f"{path} has {len(found)} contracts, expected one")
        if not any(CODE.fullmatch(entry.filename) for entry in archive.infolist()):
            raise ContractError(f"{path} has a contract but no program; export it again")
        content = _read(archive, found[0], LARGEST_CONTRACT)
    if len(content) > LARGEST_CONTRACT:
        raise ContractError(f"{path}: the contract has more than {LARGEST_CONTRACT} bytes")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ContractError(f"{path}: the contract is not text: {error}") from None
    return Contract.from_json(text)


def calls(path: Path) -> Counter[str]:
    """How often each operator is called in the archive's code, which is read and not loaded."""
    counts: Counter[str] = Counter()
    left = LARGEST_CODE
    with _archive(path) as archive:
        for entry in archive.infolist():
            if left > 0 and CODE.fullmatch(entry.filename):
                content = _read(archive, entry, left)
                left -= len(content)
                counts.update(CALL.findall(content.decode("utf-8", "replace")))
    return counts


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """The file as a zip archive, whose damages are ContractErrors."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except ContractError:
        raise
    except (zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error, ValueError) as error:
        raise ContractError(f"{path} is not a TorchScript file: {error}") from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # a directory that points before the file's beginning
            raise
        raise ContractError(f"{path} is not a TorchScript file: it ends early") from None
    except RuntimeError as error:  # encrypted
        raise ContractError(f"{path} cannot be read: {error}") from None


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limit: int) -> bytes:
    """An entry's bytes, one more than ``limit`` at most: what it inflates to may be anything."""
    with archive.open(entry) as file:
        return file.read(limit + 1)


def operators(path: Path) -> tuple[Counter[str], str]:
    return calls(path), "as its code calls them, which was not loaded"


def suffix(options: Options) -> str:
    return SUFFIX


TARGET = Target(
    name="torchscript",
    suffixes=(SUFFIX,),
    options=Options,
    suffix=suffix,
    trace=trace,
    write=write,
    read=read,
    read_contract=read_contract,
    operators=operators,
    note="PyTorch has deprecated TorchScript: prefer ONNX where you can.",
)
