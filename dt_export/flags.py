"""Flags as fields: a frozen dataclass is the one table of what its flags are called and allow.

The command line makes its options from such a dataclass, and messages take the spelling of a flag
from it. Nothing here knows Typer or PyTorch, so that every module may use it.
"""

import shlex
from dataclasses import Field, dataclass, field, fields
from typing import Any

from dt_export.errors import UsageError

_KEY = "flag"  # in a field's metadata


@dataclass(frozen=True)
class Flag:
    """How a field appears on the command line.

    Args:
        name: the flag, ``--n-head``; of a switch the form that turns it on.
        help: one or two sentences for ``--help``.
        off: the form that turns a switch off, ``--no-returns``; empty where there is none.
        low: the smallest number allowed, None for any.
        high: the largest number allowed, None for any.
        expected: the bounds in words, where "1 to 20" would not read well.
        choices: the words allowed; empty for any.
        panel: the heading that ``--help`` lists the flag under; empty for the usual one.
    """

    name: str
    help: str
    off: str = ""
    low: float | None = None
    high: float | None = None
    expected: str = ""
    choices: tuple[str, ...] = ()
    panel: str = ""

    @property
    def spelling(self) -> str:
        """The flag in a list of flags; ``--[no-]returns`` for a switch with two forms."""
        return f"--[no-]{self.name.removeprefix('--')}" if self.off else self.name

    def given(self, value: Any) -> str:
        """What a user types to set this value, quoted for a shell: ``--n-head 4``."""
        if isinstance(value, bool):
            return self.name if value else self.off
        return f"{self.name} {shlex.quote(str(value))}"

    def check(self, value: Any) -> None:
        """Refuse a number out of bounds (NaN always is) and a word that is no choice.

        Raises:
            UsageError: it names the flag, the value and what is expected.
        """
        if value is None:
            return
        if self.choices and value not in self.choices:
            raise UsageError(f"{self.name} is {value!r}, expected one of {', '.join(self.choices)}")
        above = self.low is None or self.low <= value
        below = self.high is None or value <= self.high
        if not (above and below):
            raise UsageError(f"{self.name} is {_number(value)}, expected {self._bounds()}")

    def _bounds(self) -> str:
        if self.expected:
            return self.expected
        if self.low is None or self.high is None:
            return f"at least {self.low}" if self.high is None else f"at most {self.high}"
        return f"{self.low} to {self.high}"


def flag(
    name: str,
    default: Any = None,
    *,
    help: str,
    low: float | None = None,
    high: float | None = None,
    expected: str = "",
    choices: tuple[str, ...] = (),
    panel: str = "",
) -> Any:
    """A dataclass field with a flag; ``name`` may be ``--returns/--no-returns`` for a switch."""
    on, _, off = name.partition("/")
    found = Flag(on, help, off, low, high, expected, choices, panel)
    return field(default=default, metadata={_KEY: found})


def flags(table: type) -> dict[str, Flag]:
    """The flags of a dataclass by field name, in order; fields without a flag are left out."""
    found = {f.name: _flag(f) for f in fields(table)}
    return {name: known for name, known in found.items() if known is not None}


def check(values: Any) -> None:
    """``Flag.check`` for every field of an instance of such a dataclass.

    Raises:
        UsageError: for the first value that is not allowed.
    """
    for name, known in flags(type(values)).items():
        known.check(getattr(values, name))


def _flag(field: "Field[Any]") -> Flag | None:
    known: Flag | None = field.metadata.get(_KEY)
    return known


def _number(value: float) -> str:
    """A number for a message; Python refuses to print an integer of thousands of digits."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an integer of {value.bit_length()} bits"
    return str(value)
