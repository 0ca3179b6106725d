"""Target ``onnx``: ONNX files, and on request ONNX Runtime's own format, which is made of them."""

from collections import Counter
from pathlib import Path
from typing import Any

import onnx
from dt_runtime.contract import Contract
from dt_runtime.engine import OnnxEngine

from dt_export.files.ours import is_listing
from dt_export.options import OnnxOptions
from dt_export.targets.onnx import file, ort
from dt_export.targets.onnx.trace import trace
from dt_export.targets.target import Target, Written

SUFFIX = ".onnx"
LISTING = "the operators that a minimal build needs"


def suffix(options: OnnxOptions) -> str:
    return ort.SUFFIX if options.format == "ort" else SUFFIX


def write(model: onnx.ModelProto, contract: Contract, path: Path) -> None:
    """An ONNX file, or one in ORT format with the list of its operators beside it."""
    if path.suffix != ort.SUFFIX:
        file.write(model, contract, path)
        return
    plain = path.with_suffix(SUFFIX)
    file.write(model, contract, plain)
    ort.write(plain, path)
    plain.unlink()


def companions(path: Path, options: OnnxOptions) -> tuple[Written, ...]:
    """The list of operators beside an ORT file."""
    return (Written(ort.list_path(path), LISTING, is_listing),) if options.format == "ort" else ()


def operators(path: Path) -> tuple[Counter[str], str]:
    if path.suffix == ort.SUFFIX:
        return ort.counted(path), ""
    model = onnx.load(path, load_external_data=False)
    return Counter(node.op_type for node in model.graph.node), ""


def producer(options: OnnxOptions) -> dict[str, Any]:
    return {"opset": options.opset}


TARGET = Target(
    name="onnx",
    suffixes=(SUFFIX, ort.SUFFIX),
    options=OnnxOptions,
    suffix=suffix,
    trace=trace,
    write=write,
    read=file.read,
    read_contract=file.read_contract,
    operators=operators,
    companions=companions,
    producer=producer,
    engine=OnnxEngine,
)
