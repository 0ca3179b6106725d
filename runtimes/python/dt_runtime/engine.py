"""ONNX Runtime under a policy: providers, threads, and runs on preallocated buffers."""

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from dt_runtime.agreement import check_arrays, compare
from dt_runtime.contract import METADATA_KEY, Contract, ContractError
from dt_runtime.errors import ArgumentError
from dt_runtime.protocols import Arrays, Engine, Run

__all__ = [
    "PROVIDERS",
    "Engine",
    "OnnxEngine",
    "RunOnDevice",
    "available_providers",
    "bind_in_place",
]

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_said_fallback = False


class OnnxEngine:
    """One ONNX Runtime session over one artifact.

    On CUDA and TensorRT, every bound array has a copy on the device: inputs are copied there before
    a run and outputs back after it. An array that is bound as input and as output, such as a cache,
    stays on the device, and its host memory is not read again.

    Args:
        path: an ``.onnx`` or ``.ort`` file that dt-export wrote.
        provider: ``cpu``, ``cuda``, ``tensorrt``, or ``auto``: CUDA if it works, otherwise the
            CPU. For single operators TensorRT falls back to CUDA, and CUDA to the CPU.
        threads: threads inside an operator; 1 suits a control loop, 0 lets ONNX Runtime choose.
            At most four per processor, or 64.
        cuda_graph: let CUDA record a run and replay it as one launch. All runs must have one shape,
            so bind once; ``Policy`` does.

    Raises:
        FileNotFoundError: no such file.
        ContractError: not an ONNX file, a file without a contract, or a contract that does not
            match its graph.
        ValueError: no provider of that name, too many threads, or ``cuda_graph`` without CUDA.
        RuntimeError: the provider you asked for is not available.
        ImportError: ONNX Runtime is not installed.
    """

    def __init__(
        self,
        path: str | Path,
        provider: str = "cpu",
        threads: int = 1,
        cuda_graph: bool = False,
    ):
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"{self.path}: no such file")
        most = max(64, 4 * (os.cpu_count() or 1))
        if not isinstance(threads, int) or not 0 <= threads <= most:
            raise ArgumentError(
                f"threads is {threads!r}, expected 0 (ONNX Runtime's choice) to {most}"
            )
        if cuda_graph and provider not in ("cuda", "tensorrt"):
            raise ArgumentError(
                f"cuda_graph records CUDA's work, and provider is {provider!r}: pass "
                "provider='cuda' or 'tensorrt'"
            )
        self.session = _session(self.path, provider, threads, cuda_graph)
        self.provider = self.session.get_providers()[0]
        self.contract = _contract(self.session, self.path)
        try:
            compare(self.contract, self.session)
        except ContractError as error:
            raise ContractError(
                f"{self.path}: the contract does not match the graph: {error}; "
                "export the file again"
            ) from None
        self.cuda_graph = cuda_graph
        self._options = (provider, threads, cuda_graph)
        self.device = "cpu" if self.provider == PROVIDERS["cpu"] else "cuda"

    def run(self, inputs: Arrays) -> dict[str, np.ndarray]:
        """All outputs in new arrays, for checks; a control loop should use ``bind``."""
        names = [spec.name for spec in self.contract.outputs]
        return dict(zip(names, self.session.run(names, dict(inputs)), strict=True))

    def bind(self, inputs: Arrays, outputs: Arrays) -> Run:
        """See ``Engine.bind``.

        Raises:
            ValueError: an array is missing, unknown, read-only though it would be written, not
                contiguous, or not of the contract's dtype and shape. Nothing was bound then.
        """
        check_arrays(self.contract, inputs, outputs)
        if self.device == "cpu":
            return bind_in_place(self.session, inputs, outputs)
        return self._bind_on_device(inputs, outputs)

    def another(self) -> "OnnxEngine":
        """An engine for a second policy: this one, since any number of threads may run a session.

        A recorded CUDA graph works on one set of addresses, so the file is then opened again.
        """
        return OnnxEngine(self.path, *self._options) if self.cuda_graph else self

    def _bind_on_device(self, inputs: Arrays, outputs: Arrays) -> "RunOnDevice":
        return RunOnDevice(self.session, self.device, inputs, outputs)


class RunOnDevice:
    """A run whose arrays have twins on a device, at addresses that a CUDA graph may record.

    Inputs are copied there before the run and outputs back after it. An array that is both, such
    as a cache, stays there: ``pull`` and ``push`` copy it when its content is wanted or changed.
    """

    def __init__(
        self,
        session: Any,
        device: str,
        inputs: Arrays,
        outputs: Arrays,
    ):
        make = _onnxruntime().OrtValue.ortvalue_from_numpy
        self._session, self._binding = session, session.io_binding()
        # Of copies, since on a CPU a value would share the array's own memory.
        twins = {id(array): make(array.copy(), device, 0) for array in inputs.values()}
        written = {id(array) for array in outputs.values()}
        read = [(twins[id(array)], array) for array in inputs.values()]
        self._uploads = [pair for pair in read if id(pair[1]) not in written]
        self._resident = [pair for pair in read if id(pair[1]) in written]
        self._downloads: list[tuple[Any, np.ndarray]] = []
        for name, array in inputs.items():
            self._binding.bind_ortvalue_input(name, twins[id(array)])
        for name, array in outputs.items():
            twin = twins.get(id(array))
            if twin is None:
                twin = make(array.copy(), device, 0)
                self._downloads.append((twin, array))
            self._binding.bind_ortvalue_output(name, twin)

    def __call__(self) -> None:
        for twin, array in self._uploads:
            twin.update_inplace(array)
        self._session.run_with_iobinding(self._binding)
        for twin, array in self._downloads:
            np.copyto(array, twin.numpy())

    def pull(self) -> None:
        """Copy what stays on the device into the caller's arrays."""
        for twin, array in self._resident:
            np.copyto(array, twin.numpy())

    def push(self) -> None:
        """Copy it back from the caller's arrays."""
        for twin, array in self._resident:
            twin.update_inplace(array)


def bind_in_place(session: Any, inputs: Arrays, outputs: Arrays) -> Run:
    """A run in which ONNX Runtime reads and writes these very arrays, on the CPU."""
    binding = session.io_binding()
    for bind, arrays in ((binding.bind_input, inputs), (binding.bind_output, outputs)):
        for name, array in arrays.items():
            bind(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
    held = (inputs, outputs)

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


def _session(path: Path, provider: str, threads: int, cuda_graph: bool) -> Any:
    if provider not in (*PROVIDERS, "auto"):
        raise ArgumentError(f"provider is {provider!r}, expected {', '.join(PROVIDERS)} or auto")
    if provider == "cpu":
        return _open(path, [PROVIDERS["cpu"]], threads)
    wanted = PROVIDERS["cuda" if provider == "auto" else provider]
    offered = available_providers()
    reason = f"onnxruntime offers {', '.join(offered)}"
    if wanted in offered:
        try:
            session = _open(path, _with_fallbacks(wanted, offered, cuda_graph), threads)
        except ContractError as error:
            _open(path, [PROVIDERS["cpu"]], threads)  # fails too where the file is at fault
            reason = str(error)
        else:
            if session.get_providers()[0] == wanted:
                return session
            reason = "its CUDA libraries could not be loaded"
    if provider != "auto":
        raise RuntimeError(
            f"provider {provider!r} is not available: {reason}. Install `dt-runtime[gpu]` "
            "(onnxruntime-gpu) with CUDA and cuDNN on the machine, or pass provider='cpu'"
        )
    _say_fallback(reason)
    return _open(path, [PROVIDERS["cpu"]], threads)


def _with_fallbacks(wanted: str, offered: list[str], cuda_graph: bool) -> list[Any]:
    """Providers in order of preference, with their options.

    By default CUDA multiplies float32 in TF32, whose ten bits of mantissa are a thousand times
    coarser than what the export verified. Here fp32 means fp32; use fp16 if you want less.
    """
    told: dict[str, dict[str, str]] = {PROVIDERS["cuda"]: {"use_tf32": "0"}}
    if cuda_graph and wanted == PROVIDERS["cuda"]:
        told[wanted]["enable_cuda_graph"] = "1"
    elif cuda_graph:
        told[wanted] = {"trt_cuda_graph_enable": "1"}
    order = [PROVIDERS["tensorrt"], PROVIDERS["cuda"], PROVIDERS["cpu"]]
    order = [name for name in order[order.index(wanted) :] if name in offered]
    return [(name, told[name]) if name in told else name for name in order]


def _say_fallback(reason: str) -> None:
    global _said_fallback
    if not _said_fallback:
        _said_fallback = True
        warnings.warn(f"provider 'auto' runs on the CPU: {reason}", RuntimeWarning, stacklevel=5)


def _open(path: Path, providers: list[Any], threads: int) -> Any:
    ort = _onnxruntime()
    if providers != [PROVIDERS["cpu"]] and hasattr(ort, "preload_dlls"):
        ort.preload_dlls()  # finds CUDA where pip put it
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised, so they need no line in the log
    try:
        # Its own fallback prints to the console, and hides which provider failed.
        return ort.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    except Exception as error:  # ONNX Runtime has an exception class for every status code
        raise ContractError(f"{path}: ONNX Runtime cannot run this file: {error}") from None


def _contract(session: Any, path: Path) -> Contract:
    try:
        text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    except UnicodeDecodeError:
        raise ContractError(f"{path}: its metadata is not text; export the file again") from None
    if text is None:
        raise ContractError(
            f"{path} is an ONNX file without dt-export's contract (metadata key "
            f"{METADATA_KEY!r}); make one with `dt-export onnx --model MODEL`"
        )
    try:
        return Contract.from_json(text)
    except ContractError as error:
        raise ContractError(f"{path}: {error}") from None
