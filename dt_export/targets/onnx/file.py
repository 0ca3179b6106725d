"""ONNX files: written with their contract inside, always the same bytes, and opened again."""

from pathlib import Path

import onnx
from dt_runtime.contract import METADATA_KEY, Contract
from dt_runtime.engine import OnnxEngine

from dt_export.errors import UsageError
from dt_export.targets.artifact import Opened
from dt_export.targets.onnx import precision

LARGEST = 2**31 - 1  # protobuf's limit; a file beyond it would need external data


def write(model: onnx.ModelProto, contract: Contract, path: Path) -> None:
    """Write a model with its contract to ``path``, all in one file.

    Raises:
        UsageError: the file would be larger than 2 GB.
    """
    del model.metadata_props[:]
    model.metadata_props.add(key=METADATA_KEY, value=contract.to_json())
    size = model.ByteSize()
    if size > LARGEST:
        raise UsageError(f"the model is {size} bytes, and one ONNX file holds at most {LARGEST}")
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def read(path: Path, provider: str = "cpu") -> Opened:
    """Open an ONNX or ORT file to run it."""
    engine = OnnxEngine(path, provider)
    return Opened(engine.contract, engine.run, engine.provider, engine, precision.found(path))


def read_contract(path: Path) -> Contract:
    """The contract alone: the graph is opened, but not looked into."""
    return OnnxEngine(path).contract
