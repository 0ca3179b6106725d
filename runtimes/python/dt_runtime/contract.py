"""The contract: a JSON document inside an artifact, with everything you need to run it.

An ONNX file has it under the metadata key ``dt_export``, and a TorchScript file as the extra file
``dt_export.json``. Floats are read back exactly.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dt_runtime import checks, schema
from dt_runtime.checks import MAX_CONTEXT_LENGTH

__all__ = [
    "EXTRA_FILE",
    "FORMAT",
    "MAX_CONTEXT_LENGTH",
    "METADATA_KEY",
    "ActionSpec",
    "Axis",
    "Contract",
    "ContractError",
    "Source",
    "StateSpec",
    "TensorSpec",
    "Validation",
]

METADATA_KEY = "dt_export"
EXTRA_FILE = "dt_export.json"
FORMAT = "1.0"

Axis = int | str


class ContractError(ValueError):
    """The file has no contract, an invalid one, or one that this version cannot read."""


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a graph; symbolic axes are strings such as ``batch``."""

    name: str
    dtype: str  # NumPy's name: float32, int64, ...
    shape: tuple[Axis, ...]

    def sized(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape in numbers; an axis is a name, or a sum of products such as ``3*sequence``.

        Raises:
            KeyError: an axis without a size.
        """
        return tuple(axis if isinstance(axis, int) else _size(axis, sizes) for axis in self.shape)


@dataclass(frozen=True)
class StateSpec:
    """The observation. ``(raw - mean) / std`` is what the network was trained on."""

    shape: tuple[int, ...]
    names: tuple[str, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    @property
    def size(self) -> int:
        size = 1
        for axis in self.shape:
            size *= axis
        return size


@dataclass(frozen=True)
class ActionSpec:
    """The action. ``low`` and ``high`` are the raw bounds of each component, null for none.

    If the network uses other units, raw = network * ``scale`` + ``offset``.
    """

    kind: str  # continuous | discrete
    size: int
    names: tuple[str, ...] | None = None
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None
    offset: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Source:
    """Where the weights came from; ``sha256`` is the hash of their file."""

    model: str
    revision: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Validation:
    """What the export verified before it wrote the file."""

    cases: int
    max_abs_error: float
    max_error: float  # relative to the output's scale; the one that comes nearest to its bound
    tolerance: float  # that bound
    reference: str
    episodes: int = 0  # rollouts at a smaller precision and at fp32, on the same seeds
    mean_return: float | None = None  # raw
    fp32_return: float | None = None
    rounding: float | None = None  # of the model itself in that output, in the unit of max_error


@dataclass(frozen=True)
class Contract:
    """Everything you need to know to run an artifact.

    Units: ``target_returns`` are raw returns of an episode; ``return_scale`` is what raw returns
    are divided by before the network sees them; ``context_length`` and ``max_ep_len`` count
    timesteps, and the first timestep of an episode has the number ``first_timestep``.

    The constructor checks nothing; ``from_json`` and ``check`` do.
    """

    graph: str  # sequence | policy | step | backbone
    dialect: str
    state: StateSpec
    action: ActionSpec
    context_length: int
    max_ep_len: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    format: str = FORMAT
    precision: str = "fp32"
    first_timestep: int = 0
    return_scale: float = 1.0
    target_returns: tuple[float, ...] = ()
    environment: str | None = None
    source: Source = Source("unknown")
    producer: dict[str, Any] = field(default_factory=dict)
    validation: Validation | None = None

    @property
    def batch_size(self) -> int | None:
        """The only batch size that the file accepts; None if any."""
        shapes = {spec.name: spec.shape for spec in self.inputs}
        axis = shapes.get("query_index", shapes.get("states", (None,)))[0]
        return axis if isinstance(axis, int) else None

    @property
    def compiled(self) -> bool:
        """Whether it is of a compiled policy: the file is one row of it, and a process may run any
        number of them."""
        return self.graph == "step" and "prefix" in self.producer

    def check(self) -> None:
        """Check that sizes and numbers are within bounds and that all parts agree.

        Raises:
            ContractError: names the first problem.
        """
        for fault in checks.faults(self):
            raise ContractError(f"the contract {fault}; export the file again")

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Contract":
        """Read a contract and check it; unknown fields are ignored.

        Raises:
            ContractError: the text is not a JSON object, its major format is newer than ours, a
                field is missing or has the wrong type, or ``check`` fails.
        """
        try:
            document = schema.parse(text)
            _check_format(document.get("format"))
            contract = schema.build(cls, document)
        except schema.SchemaError as error:
            raise ContractError(f"the contract {error}; export the file again") from None
        contract.check()
        return contract


def _size(axis: str, sizes: Mapping[str, int]) -> int:
    products = ([factor.strip() for factor in term.split("*")] for term in axis.split("+"))
    return sum(
        math.prod(int(f) if f.isdigit() else sizes[f] for f in factors) for factors in products
    )


def _check_format(seen: Any) -> None:
    match = re.fullmatch(r"([0-9]{1,4})\.[0-9]{1,4}", seen) if isinstance(seen, str) else None
    if match is None:
        raise ContractError(f"the contract's format is {schema.shown(seen)}, expected {FORMAT!r}")
    if int(match[1]) > int(FORMAT.split(".")[0]):
        raise ContractError(
            f"the contract has format {seen}, and this dt-runtime reads up to {FORMAT}: "
            "upgrade with `pip install -U dt-runtime`"
        )
