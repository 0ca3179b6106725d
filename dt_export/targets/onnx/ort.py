"""ORT format: ONNX Runtime's own file format, the only one that its minimal builds can read.

An ``.ort`` file is a finished graph: a minimal build has no optimisers, and a full build runs none
on it. So what is to be fused is fused here, and the file must not depend on the machine that made
it, for it is made on a workstation and runs on a robot:

- Level "extended": its fusions ask for operators of ``com.microsoft``, which run on any processor
  (in any build without ``--disable_contrib_ops``). The next level, "layout", turns the weights of
  convolutions into the blocks of this very processor, NCHWc on x86: faster there, and only there.
- "Fixed" rather than "Runtime" style: the latter saves fusions for the device to replay, which is
  for devices that hand parts of the graph to another provider, and a plain minimal build cannot.
- Quantised graphs are told which kind of int8 they get; left alone, it is what this machine likes.
"""

import functools
import logging
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

from dt_runtime.contract import METADATA_KEY, ContractError
from dt_runtime.engine import OnnxEngine

from dt_export.errors import CheckError, UsageError
from dt_export.files.ours import LISTING
from dt_export.process.interrupts import temporary_folder

SUFFIX = ".ort"
LIST_SUFFIX = ".required_operators_and_types.config"  # as ONNX Runtime's own converter names it


def write(model: Path, path: Path) -> None:
    """Write an ONNX file in ORT format to ``path``, and the list of its operators beside it.

    ONNX Runtime writes one table in no fixed order, so that the bytes may differ from run to run
    while the graph does not. The list is what ``build.py --include_ops_by_config`` of ONNX Runtime
    takes.

    Raises:
        UsageError, CheckError: as ``save``.
    """
    save(model, path)
    list_path(path).write_text(operators(path), encoding="utf-8")


def list_path(path: Path) -> Path:
    """Where the operators of an ``.ort`` file are listed.

    Raises:
        UsageError: it does not end in ``.ort``.
    """
    if path.suffix != SUFFIX:
        raise UsageError(f"--output {path}: expected a file ending in {SUFFIX}")
    return path.with_suffix(LIST_SUFFIX)


def save(model: Path, path: Path) -> None:
    """Write an ONNX file in ORT format to ``path``, which must end in ``.ort``, without a list.

    Raises:
        UsageError: no such model, one without our contract or that cannot be converted, or no ONNX
            Runtime that could.
        CheckError: the converted file cannot be opened or carries another contract.
    """
    if not model.is_file():
        raise UsageError(f"{model}: no such file")
    onnxruntime = _tools()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it logs below that, it raises too
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path)
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.add_session_config_entry("session.qdqisint8allowed", "0")  # uint8 suits x86 and arm
    try:
        session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime has an exception class for every status code
        raise UsageError(f"{model} cannot be converted by ONNX Runtime: {error}") from None
    contract = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if contract is None:
        raise UsageError(
            f"{model} is an ONNX file without dt-export's contract; "
            "make one with `dt-export onnx --model MODEL`"
        )
    try:
        engine = OnnxEngine(path)
    except ContractError as error:
        raise CheckError(f"the conversion to ORT format went wrong: {error}") from None
    if engine.session.get_modelmeta().custom_metadata_map[METADATA_KEY] != contract:
        raise CheckError(f"the conversion to ORT format changed the contract of {model}")


def operators(path: Path) -> str:
    """The operators that an ``.ort`` file needs, fused ones too, with the types they get.

    A build that is not asked to leave out types takes no notice of them.
    """
    onnxruntime = _tools()
    with temporary_folder() as folder:
        raw = Path(folder, "operators.config")
        onnxruntime.tools.ort_format_model.create_config_from_models([path], raw, True)
        lines = raw.read_text().splitlines()
    head = [  # theirs names the temporary file
        f"{LISTING}{path.name}, by ONNX Runtime {onnxruntime.__version__}",
        "# build.py --minimal_build --enable_reduced_operator_type_support"
        f" --include_ops_by_config {list_path(path).name}",
    ]
    return "\n".join([*head, *(line for line in lines if not line.startswith("#"))]) + "\n"


@functools.cache
def _tools() -> ModuleType:
    """ONNX Runtime, with its reader of ORT format, which makes it log as soon as it is imported.

    Raises:
        UsageError: it is not installed, or without that reader.
    """
    handlers = list(logging.root.handlers)
    try:
        import onnxruntime
        from onnxruntime.tools import ort_format_model  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"ORT format needs ONNX Runtime and flatbuffers ({error}): "
            "`pip install 'dt-runtime[cpu]' flatbuffers`"
        ) from None
    logging.root.handlers[:] = handlers
    logging.getLogger("ort_format_model.utils").setLevel(logging.WARNING)
    module: ModuleType = onnxruntime
    return module


def counted(path: Path) -> Counter[str]:
    """How many there are of each operator, fused ones too."""
    nodes = graph(path)
    return Counter(nodes.Nodes(i).OpType().decode() for i in range(nodes.NodesLength()))


def graph(path: Path) -> Any:
    """The graph in an ``.ort`` file, by ONNX Runtime's own reader of its format."""
    _tools()  # puts the generated classes where they can be imported
    from ort_flatbuffers_py import fbs

    return fbs.InferenceSession.InferenceSession.GetRootAs(path.read_bytes()).Model().Graph()
