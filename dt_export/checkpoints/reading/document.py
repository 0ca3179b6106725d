"""A mapping out of a file, looked up by type: what is of another one is named with its place."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Never, TypeVar, overload

import numpy as np
from torch import Tensor

from dt_export.checkpoints.reading.damage import shown
from dt_export.errors import CheckpointError
from dt_export.facts import LARGEST, SMALLEST

LARGEST_SIZE = 2**31 - 1  # of anything that counts rows, columns or steps
MOST_NUMBERS = 2**20  # in a list of statistics; four frames of 84 x 84 are 28,224
DEEPEST = 4  # nesting of such a list
LONGEST_NAME = 200  # characters of an environment, an activation, a kind of something
REQUIRED: Any = object()  # stands for "no default", whatever the type of the value
Default = TypeVar("Default")


@dataclass(frozen=True)
class Document:
    """``where`` names the file, and the place within it, for messages.

    Every method takes a default for a key that is absent or null; without one, it is required.

    Raises:
        CheckpointError: from every method, for a value that is missing or cannot be.
    """

    values: Mapping[Any, Any]  # by text; by index for what stands in a list
    where: str

    @classmethod
    def of(cls, value: Any, where: str) -> "Document":
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise CheckpointError(f"{where} is {shown(value)}, expected a mapping")
        return cls(value, where)

    def has(self, key: str) -> bool:
        return self.values.get(key) is not None

    @overload
    def integer(self, key: str | int, *, low: int = 1, high: int = LARGEST_SIZE) -> int: ...
    @overload
    def integer(
        self, key: str | int, default: Default, *, low: int = 1, high: int = LARGEST_SIZE
    ) -> int | Default: ...
    def integer(
        self, key: str | int, default: Any = REQUIRED, *, low: int = 1, high: int = LARGEST_SIZE
    ) -> Any:
        value = self._value(key, default)
        if value is default:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self._refuse(key, value, f"an integer from {low} to {high}")
        return value

    @overload
    def number(self, key: str, *, above: float = -math.inf, zero: bool = True) -> float: ...
    @overload
    def number(
        self, key: str, default: Default, *, above: float = -math.inf, zero: bool = True
    ) -> float | Default: ...
    def number(
        self, key: str, default: Any = REQUIRED, *, above: float = -math.inf, zero: bool = True
    ) -> Any:
        """A finite number of float32's range, above ``above``; zero only where that is allowed."""
        value = self._value(key, default)
        if value is default:
            return default
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        if not plain or not abs(value) <= LARGEST:
            self._refuse(key, value, "a finite number")
        if not value > above or (value == 0 and not zero):
            limit = 0 if 0 < above <= SMALLEST else above  # float32 sees no difference
            what = f"a number above {limit:g}" if above > -math.inf else "a number other than 0"
            self._refuse(key, value, what)
        return float(value)

    @overload
    def text(self, key: str) -> str: ...
    @overload
    def text(self, key: str, default: Default) -> str | Default: ...
    def text(self, key: str, default: Any = REQUIRED) -> Any:
        """A name: printable, and of a length that names have."""
        value = self._value(key, default)
        if value is default:
            return default
        if not isinstance(value, str):
            self._refuse(key, value, "text")
        if len(value) > LONGEST_NAME or not value.isprintable():
            self._refuse(key, value, f"printable text of at most {LONGEST_NAME} characters")
        return value

    @overload
    def flag(self, key: str) -> bool: ...
    @overload
    def flag(self, key: str, default: Default) -> bool | Default: ...
    def flag(self, key: str, default: Any = REQUIRED) -> Any:
        value = self._value(key, default)
        if value is not default and not isinstance(value, bool):
            self._refuse(key, value, "true or false")
        return value

    def section(self, key: str, default: Any = REQUIRED) -> "Document":
        value = self._value(key, default)
        return Document.of(value, f"{self.where}: {key}")

    @overload
    def numbers(self, key: str) -> tuple[float, ...]: ...
    @overload
    def numbers(self, key: str, default: Default) -> tuple[float, ...] | Default: ...
    def numbers(self, key: str, default: Any = REQUIRED) -> Any:
        """One number or a nest of them as a flat tuple."""
        value = self._value(key, default)
        return default if value is default else numbers(value, self.where, key)

    def integers(self, key: str, *, low: int = 1) -> tuple[int, ...]:
        """A list of integers as a tuple; required."""
        value = self._value(key, REQUIRED)
        if not isinstance(value, list | tuple) or len(value) > MOST_NUMBERS:
            self._refuse(key, value, "a list of integers")
        items = Document(dict(enumerate(value)), f"{self.where}: {key}")
        return tuple(items.integer(index, low=low) for index in range(len(value)))

    def _value(self, key: Any, default: Any) -> Any:
        value = self.values.get(key)
        if value is None and default is REQUIRED:
            seen = ", ".join(str(name)[:40] for name in islice(self.values, 12)) or "nothing"
            raise CheckpointError(f"{self.where} has no key {key!r}; seen: {seen}")
        return default if value is None else value

    def _refuse(self, key: Any, value: Any, expected: str) -> Never:
        raise CheckpointError(f"{self.where}: {key} is {shown(value)}, expected {expected}")


def numbers(values: Any, file: str, key: str) -> tuple[float, ...]:
    """Plain finite numbers, one or many, however they are nested, as a flat tuple.

    Raises:
        CheckpointError: something else; the message names the file and the key.
    """
    if isinstance(values, np.ndarray | Tensor):
        flat = values.reshape(-1).tolist() if math.prod(values.shape) <= MOST_NUMBERS else None
    else:
        flat = _flat(values)
    if flat is None or not all(
        isinstance(item, int | float) and not isinstance(item, bool) for item in flat
    ):
        raise CheckpointError(f"{file}: {key} is {shown(values)}, expected numbers")
    for index, item in enumerate(flat):
        if abs(item) <= LARGEST:
            continue
        what = (
            "a NaN or an infinity"
            if isinstance(item, float) and not math.isfinite(item)
            else (f"{shown(item)}, which is beyond float32")
        )
        raise CheckpointError(f"{file}: {key} holds {what} (number {index})")
    return tuple(map(float, flat))


def _flat(values: Any) -> list[Any] | None:
    """The leaves of nested lists; None where they are nested too deeply or are too many."""
    level = [values]
    for _ in range(DEEPEST + 1):
        if not any(isinstance(item, list | tuple) for item in level):
            return level
        if sum(len(item) if isinstance(item, list | tuple) else 1 for item in level) > MOST_NUMBERS:
            return None
        level = [
            leaf for item in level for leaf in (item if isinstance(item, list | tuple) else (item,))
        ]
    return None
