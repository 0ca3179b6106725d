"""Opening what the target wrote: a ``.c`` file, which is compiled first, or a library of it."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from dt_runtime import Library
from dt_runtime import library as libraries
from dt_runtime.contract import Contract, ContractError

from dt_export.errors import UsageError
from dt_export.process import interrupts
from dt_export.targets.artifact import Opened
from dt_export.targets.c import build
from dt_export.targets.c.write import contract_in

SUFFIX = ".c"
PROVIDERS = ("cpu", "auto")


def read(path: Path, provider: str = "cpu") -> Opened:
    """Open a source or a library to run it. Either is a program: it runs in this process.

    Raises:
        UsageError: another provider, or there is no compiler or it refuses the file.
        ContractError, FileNotFoundError: see ``Library``.
    """
    library = engine(path, provider)

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        raise UsageError(f"{path}: a compiled policy has no inputs to be given: it keeps its past")

    return Opened(library.contract, run, library.provider, library, library.contract.precision)


def engine(path: Path, provider: str = "cpu", threads: int = 1) -> Library:
    """The library at a path, or the one that a source is compiled to.

    Raises:
        UsageError: more than one thread; and see ``read``.
        ContractError, FileNotFoundError: see ``Library``.
    """
    if provider not in PROVIDERS:
        raise UsageError(
            f"--provider is {provider}, and a compiled policy runs on the CPU: drop it, or export "
            "with `dt-export onnx`"
        )
    if threads not in (0, 1):
        raise UsageError(
            f"--threads is {threads}, and a compiled policy runs in one thread: drop it"
        )
    if path.suffix != SUFFIX:
        return Library(path)
    contract = read_contract(path)
    # A library that was loaded needs its file no longer.
    with interrupts.temporary_folder() as folder:
        made = folder / f"{path.stem}{build.LIBRARY}"
        build.shared_library(path, made)
        return Library(made, libraries.weights_beside(path, contract))


def read_contract(path: Path) -> Contract:
    """The contract in a source or a library, of which nothing is compiled or run.

    Raises:
        ContractError: there is none, or it is not that of a compiled policy.
        FileNotFoundError: no such file.
    """
    if path.suffix != SUFFIX:
        return libraries.read_contract(path)
    try:
        text = contract_in(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, ValueError) as error:
        raise ContractError(f"{path} is not a file of dt-export's: {error}") from None
    if text is None:
        raise ContractError(
            f"{path} is a C file without dt-export's contract; make one with "
            "`dt-export c --model MODEL`"
        )
    contract = Contract.from_json(text)
    libraries.check_compiled(contract, path)
    return contract


def operators(path: Path) -> tuple[Counter[str], str]:
    """A C file has none."""
    return Counter(), "compiled C"
