"""Whether tensors match a contract: those of a session, and arrays to be bound."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dt_runtime.contract import Axis, Contract, ContractError, TensorSpec

DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


def compare(contract: Contract, session: Any) -> None:
    """Check that the graph has the inputs and outputs of its contract.

    Names of free axes may differ; an axis that is a number in one is that number in the other.

    Raises:
        ContractError: names the first tensor that differs, with both sides.
    """
    pairs = (
        ("input", contract.inputs, session.get_inputs()),
        ("output", contract.outputs, session.get_outputs()),
    )
    for kind, specs, nodes in pairs:
        due = {spec.name: spec for spec in specs}
        seen = {node.name: node for node in nodes}
        for name in (*due, *seen):
            if name not in seen or name not in due:
                lacking = "graph" if name not in seen else "contract"
                raise ContractError(f"{kind} {name!r} is missing in the {lacking}")
        for name, spec in due.items():
            dtype = DTYPES.get(seen[name].type, seen[name].type)
            shape = tuple(seen[name].shape)
            if dtype != spec.dtype or not _same_axes(spec.shape, shape):
                raise ContractError(
                    f"{kind} {name!r} is {dtype} of shape {list(shape)} in the graph and "
                    f"{spec.dtype} of shape {list(spec.shape)} in the contract"
                )


def _same_axes(due: tuple[Axis, ...], seen: tuple[Any, ...]) -> bool:
    if len(due) != len(seen):
        return False
    pairs = zip(due, seen, strict=True)
    return all(a == b for a, b in pairs if isinstance(a, int) or isinstance(b, int))


def check_arrays(
    contract: Contract, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
) -> None:
    """Check that ONNX Runtime may read these inputs and write these outputs; it hardly checks.

    Raises:
        ValueError: an input is missing, a name is unknown, or an array is not contiguous, not of
            the contract's dtype and shape, or read-only though it would be written.
    """
    specs = {spec.name: spec for spec in contract.inputs}
    sizes: dict[str, tuple[int, str]] = {}  # of axes with a name: the size, and whose it is
    for name, array in inputs.items():
        _check_array(name, array, specs, sizes)
    missing = [name for name in specs if name not in inputs]
    if missing:
        raise ValueError(f"inputs lack {', '.join(missing)}")
    specs = {spec.name: spec for spec in contract.outputs}
    for name, array in outputs.items():
        _check_array(name, array, specs, sizes)
        if not array.flags.writeable:
            raise ValueError(f"{name}: the bound array is read-only, and the run writes into it")


def _check_array(
    name: str,
    array: np.ndarray,
    specs: Mapping[str, TensorSpec],
    sizes: dict[str, tuple[int, str]],
) -> None:
    if name not in specs:
        raise ValueError(f"{name} is unknown, expected one of {', '.join(specs)}")
    spec = specs[name]
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name} is {type(array).__name__}, expected a NumPy array")
    if not array.flags.c_contiguous:
        raise ValueError(f"{name}: the bound array must be contiguous")
    if not array.dtype.isnative or array.dtype != spec.dtype or array.ndim != len(spec.shape):
        raise ValueError(
            f"{name} is {array.dtype} of shape {array.shape}, "
            f"expected {spec.dtype} of shape {list(spec.shape)}"
        )
    for axis, size in zip(spec.shape, array.shape, strict=True):
        due, whose = (axis, "the file's") if isinstance(axis, int) else (size, "")
        if isinstance(axis, str) and axis.isalpha():
            due, whose = sizes.setdefault(axis, (size, f"that of {name}"))
        if size != due:
            raise ValueError(
                f"{name} has shape {array.shape}, expected {list(spec.shape)} "
                f"with {due} for {axis!r}, {whose}"
            )
