"""Target ``c``: a policy as one C file with a header, and on request its weights in a third one."""

from pathlib import Path
from typing import Any

from dt_runtime.contract import Contract
from dt_runtime.library import SUFFIXES
from torch import nn

from dt_export.checkpoints.checkpoint import Checkpoint
from dt_export.errors import CheckError
from dt_export.graphs.kind import BATCH
from dt_export.graphs.step import SLOTS
from dt_export.models.decision_transformer import DecisionTransformer
from dt_export.options import ACTIVATION_BITS, COptions
from dt_export.targets.c import reading, wasm
from dt_export.targets.c.program import Program, check, program
from dt_export.targets.c.write import Style, printed
from dt_export.targets.target import Episode, Target, Written

HEADER = ".h"
Traced = tuple[Program, COptions]


def suffix(options: COptions) -> str:
    return reading.SUFFIX


def settle(checkpoint: Checkpoint, options: COptions) -> COptions:
    assert isinstance(checkpoint.model, DecisionTransformer)
    check(checkpoint.model)
    if options.wasm:
        wasm.compiler()  # before minutes of work
    return options.settled(checkpoint.name, checkpoint.facts.context_length or 1)


def sizes(options: COptions, context_length: int) -> dict[str, int]:
    assert options.slots is not None  # settled
    return {BATCH: 1, SLOTS: options.slots}


def producer(options: COptions) -> dict[str, Any]:
    said = {
        "prefix": options.prefix,
        "activation_bits": options.activation_bits,
        "weights": None if options.weights is None else options.weights.name,
    }
    return {name: value for name, value in said.items() if value is not None}


def trace(module: nn.Module, contract: Contract, options: COptions) -> Traced:
    return program(module, contract.precision), options


def write(traced: Traced, contract: Contract, path: Path) -> None:
    """The source, and beside it the header and weights."""
    made, options = traced
    assert options.prefix is not None  # settled
    header, bits = path.with_suffix(HEADER), options.activation_bits or ACTIVATION_BITS[0]
    style = Style(options.prefix, header.name, options.weights is not None, bits)
    files = printed(made, contract, style)
    path.write_text(files.source, encoding="ascii", newline="\n")
    header.write_text(files.header, encoding="ascii", newline="\n")
    if options.weights is not None and files.weights is not None:
        path.with_name(options.weights.name).write_bytes(files.weights)


def companions(path: Path, options: COptions) -> tuple[Written, ...]:
    found = [Written(path.with_suffix(HEADER), "its header")]
    if options.weights is not None:
        found.append(Written(options.weights, "its weights"))
    if options.wasm:
        found += [Written(file, what) for file, what in wasm.companions(path).items()]
    return tuple(found)


def finish(path: Path, contract: Contract, options: COptions, golden: Episode) -> dict[str, str]:
    """The WebAssembly, which must replay the episode."""
    if not options.wasm:
        return {}
    wasm.write(path, contract)
    return {path.with_suffix(wasm.WASM).name: _replayed(path, golden)}


def _replayed(path: Path, golden: Episode) -> str:
    what = "its WebAssembly"
    if golden is None:
        return what
    try:
        episode = golden()
    except CheckError as error:  # a discrete policy whose choice is never clear
        return f"{what}; not replayed: {error}"
    done = wasm.replay(path, episode)
    if done is None:
        return f"{what}; not replayed: node is not installed"
    if done.mismatch is not None:
        raise CheckError(
            "in Node.js the WebAssembly differs from eager PyTorch in a golden episode: "
            f"{done.mismatch}; nothing was written"
        )
    return f"{what}; replayed a golden episode in Node.js: worst error {done.error:.1e}"


TARGET = Target(
    name="c",
    suffixes=(reading.SUFFIX, *SUFFIXES),
    options=COptions,
    suffix=suffix,
    trace=trace,
    write=write,
    read=reading.read,
    read_contract=reading.read_contract,
    operators=reading.operators,
    companions=companions,
    settle=settle,
    sizes=sizes,
    producer=producer,
    engine=reading.engine,
    finish=finish,
)
