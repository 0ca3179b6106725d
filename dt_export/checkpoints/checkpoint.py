"""A checkpoint in memory: the model with its weights, and what is known around it."""

from dataclasses import dataclass
from pathlib import Path

from dt_runtime.contract import Source

from dt_export.facts import Facts
from dt_export.model import DecisionTransformer


@dataclass(frozen=True)
class Found:
    """What a dialect's file reader found."""

    model: DecisionTransformer  # float32, CPU, eval
    facts: Facts
    sha256: str  # of the file that held the weights
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint with every fact settled."""

    name: str  # a short name to call files after
    path: Path  # where its files are on this machine
    dialect: str
    model: DecisionTransformer
    facts: Facts
    source: Source
    notes: tuple[str, ...] = ()  # for the user: conversions and assumed defaults
    warnings: tuple[str, ...] = ()  # for the user, loudly
