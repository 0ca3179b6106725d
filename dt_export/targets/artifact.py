"""An exported file, and one that was opened to run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from dt_runtime import Library
from dt_runtime.contract import Contract
from dt_runtime.engine import Engine

Run = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Artifact:
    """An exported file."""

    path: Path
    contract: Contract
    size: int  # bytes
    companions: Mapping[Path, str] = field(default_factory=dict)  # files beside it: what they are


@dataclass(frozen=True)
class Opened:
    """An artifact that is ready to run: its contract and a function of named arrays.

    ``precision`` is what the graph itself computes in, whatever the contract says.
    """

    contract: Contract
    run: Run
    provider: str
    bound: Engine | Library | None = None  # where ``dt_runtime`` runs it without copies
    precision: str = "fp32"

    @property
    def engine(self) -> Engine | Library:
        """For a policy: what ``dt_runtime`` runs, or an engine that copies what ``run`` gives."""
        return self.bound or _Copying(self)


class _Copying:
    def __init__(self, opened: Opened):
        self.contract, self._run = opened.contract, opened.run

    def bind(
        self, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> Callable[[], None]:
        def run() -> None:
            for name, value in self._run(inputs).items():
                if name in outputs:
                    outputs[name][:] = value

        return run
