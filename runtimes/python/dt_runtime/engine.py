"""ONNX Runtime under a policy: providers, threads, and runs on preallocated buffers."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dt_runtime.contract import METADATA_KEY, Contract, ContractError

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_said_fallback = False


class Engine(Protocol):
    """Whatever runs a graph. OnnxEngine is ours; a PyTorch one serves as reference elsewhere."""

    contract: Contract

    def bind(
        self, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> Callable[[], None]:
        """A function that reads those very input arrays and fills those very output arrays."""
        ...


class OnnxEngine:
    """One ONNX Runtime session over one artifact.

    Args:
        path: an ``.onnx`` file with our contract in its metadata.
        provider: ``cpu``, ``cuda``, or ``auto``: CUDA where it works and else the CPU.
        threads: threads inside an operator; 1 suits a control loop, 0 leaves it to ONNX Runtime.

    Raises:
        FileNotFoundError: no such file.
        ContractError: not an ONNX file, or one without our contract.
        ValueError: no provider of that name.
        RuntimeError: CUDA was asked for and cannot be had.
        ImportError: ONNX Runtime is not installed.
    """

    def __init__(self, path: str | Path, provider: str = "cpu", threads: int = 1):
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"{self.path}: no such file")
        if threads < 0:
            raise ValueError(f"threads is {threads}, expected 0 (ONNX Runtime's choice) or more")
        self.session = _session(self.path, provider, threads)
        self.provider = self.session.get_providers()[0]
        self.contract = _contract(self.session, self.path)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All outputs in new arrays: for checks, not for control loops."""
        names = [spec.name for spec in self.contract.outputs]
        return dict(zip(names, self.session.run(names, dict(inputs)), strict=True))

    def bind(
        self, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> Callable[[], None]:
        binding = self.session.io_binding()
        for bind, arrays in ((binding.bind_input, inputs), (binding.bind_output, outputs)):
            for name, array in arrays.items():
                if not array.flags.c_contiguous:
                    raise ValueError(f"{name}: the bound array must be contiguous")
                bind(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        session, held = self.session, (inputs, outputs)

        def run(_held: Any = held) -> None:  # holds the arrays that the binding points into
            session.run_with_iobinding(binding)

        return run


def available_providers() -> list[str]:
    """Execution providers that this ONNX Runtime was built with."""
    return list(_onnxruntime().get_available_providers())


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            "dt-runtime needs ONNX Runtime: `pip install 'dt-runtime[cpu]'`, "
            "or `pip install 'dt-runtime[gpu]'` for CUDA"
        ) from error
    return onnxruntime


def _session(path: Path, provider: str, threads: int) -> Any:
    if provider not in (*PROVIDERS, "auto"):
        raise ValueError(f"provider is {provider!r}, expected cpu, cuda or auto")
    cuda = PROVIDERS["cuda"]
    offered = available_providers()
    if provider != "cpu" and cuda in offered:
        session = _open(path, [cuda, PROVIDERS["cpu"]], threads)
        if session.get_providers()[0] == cuda:
            return session
        reason = "its CUDA libraries could not be loaded"
    else:
        reason = f"onnxruntime offers {', '.join(offered)}"
    if provider == "cuda":
        raise RuntimeError(
            f"provider 'cuda' cannot be had: {reason}. Install `dt-runtime[gpu]` (onnxruntime-gpu) "
            "with CUDA and cuDNN on the machine, or pass provider='cpu'"
        )
    if provider == "auto":
        _say_fallback(reason)
    return _open(path, [PROVIDERS["cpu"]], threads)


def _say_fallback(reason: str) -> None:
    global _said_fallback
    if not _said_fallback:
        _said_fallback = True
        warnings.warn(f"provider 'auto' runs on the CPU: {reason}", RuntimeWarning, stacklevel=5)


def _open(path: Path, providers: list[str], threads: int) -> Any:
    ort = _onnxruntime()
    if providers[0] == PROVIDERS["cuda"] and hasattr(ort, "preload_dlls"):
        ort.preload_dlls()  # finds CUDA where pip put it
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # ONNX Runtime has an exception class for every status code
        raise ContractError(f"{path} cannot be run by ONNX Runtime: {error}") from None


def _contract(session: Any, path: Path) -> Contract:
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise ContractError(
            f"{path} is an ONNX file without dt-export's contract (metadata key "
            f"{METADATA_KEY!r}); make one with `dt-export onnx --model MODEL`"
        )
    return Contract.from_json(text)
