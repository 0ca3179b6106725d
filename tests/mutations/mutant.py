"""A mutant: a right artifact with one thing broken in it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mutations.good import Good, Made

Breaks = Callable[[Made, Path], None]  # writes the broken file, under the good one's name


@dataclass(frozen=True)
class Mutant:
    """Something broken.

    Args:
        name: what is broken, in a few words.
        good: the artifact that it is broken in.
        kinds: the kinds of fault that a message may point at.
        breaks: writes the broken file.
        quick: whether a plain run of pytest takes it too.
        same_numbers: whether the outputs stay as they are, as with most lies in a contract.
        words: a regular expression that the message contains.
        survives: why validation cannot reject it; None for all that it must reject.
    """

    name: str
    good: Good
    kinds: tuple[str, ...]
    breaks: Breaks
    quick: bool = False
    same_numbers: bool = False
    words: str = ""
    survives: str | None = None

    def __str__(self) -> str:
        return f"{self.good}: {self.name}"
