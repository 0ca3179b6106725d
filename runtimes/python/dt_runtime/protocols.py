"""What a policy needs from an engine, and from the runs that the engine binds.

``OnnxEngine`` is an ``Engine``; docs/your-own-engine.md shows how to write another one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from dt_runtime.contract import Contract

Arrays = Mapping[str, np.ndarray]


class Run(Protocol):
    """One run of the graph on the arrays that it was bound to."""

    def __call__(self) -> None: ...


@runtime_checkable
class DeviceRun(Protocol):
    """A run that keeps arrays bound as input and as output (caches) on a device between calls.

    A policy calls ``pull`` before it reads or changes such an array, and ``push`` after it has
    changed one.
    """

    def __call__(self) -> None: ...

    def pull(self) -> None:
        """Copy those arrays from the device into the caller's arrays."""
        ...

    def push(self) -> None:
        """Copy those arrays from the caller's arrays to the device."""
        ...


class Engine(Protocol):
    """Runs the graph of one artifact.

    This is all that a policy needs. An engine may also have the attributes of ``Traits``, and
    ``another`` (see ``Reopens``).
    """

    @property
    def contract(self) -> Contract:
        """The contract of the artifact."""
        ...

    def bind(self, inputs: Arrays, outputs: Arrays) -> Run:
        """A run that reads exactly these input arrays and fills exactly these output arrays.

        ``inputs`` has every input of the contract. ``outputs`` has the outputs that the policy
        reads, which may be fewer than the contract's. An array in both is a cache: the run reads
        it before it writes it. The caller owns the arrays and fills them before each call.
        """
        ...


@runtime_checkable
class Reopens(Protocol):
    """An engine that cannot serve two policies, and makes a second engine for ``Policy.clone``."""

    def another(self) -> Engine:
        """An engine of the same artifact for a second policy, which may run in another thread."""
        ...


@dataclass(frozen=True)
class Traits:
    """Optional attributes of an engine, and their defaults."""

    provider: str = "custom"  # what ``Policy.provider`` reports
    cuda_graph: bool = False  # all runs must have one shape

    @classmethod
    def of(cls, engine: Engine) -> "Traits":
        """The traits of this engine."""
        return cls(
            provider=getattr(engine, "provider", cls.provider),
            cuda_graph=getattr(engine, "cuda_graph", cls.cuda_graph),
        )


def another(engine: Engine) -> Engine:
    """The engine for a second policy: the same one unless it ``Reopens``."""
    return engine.another() if isinstance(engine, Reopens) else engine


class Memory(Protocol):
    """What a policy asks of its window or its slots: the arrays of the graph, filled step by step.

    A place is whatever the memory needs to know to go on. The policy keeps it and gives it back.
    """

    @property
    def arrays(self) -> Arrays: ...

    @property
    def first_place(self) -> Any: ...

    def stage(
        self,
        place: Any,
        states: np.ndarray,
        returns_to_go: Any,
        timesteps: Any,
        elapsed: Any,
        last_actions: np.ndarray,
        last_timesteps: Any,
    ) -> Any: ...

    def length(self, taken: Any) -> int: ...

    def lengths(self, taken: np.ndarray) -> np.ndarray: ...

    def view(self, length: int) -> Arrays: ...

    def caches(self) -> dict[str, np.ndarray]: ...

    def empty(self, rows: np.ndarray) -> None: ...

    def copy_from(self, other: Any) -> None: ...
