"""A checkpoint in memory: the model with its weights, and what is known around it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from dt_runtime.contract import Source

from dt_export.facts import Facts, Settled
from dt_export.models.backbone import Backbone
from dt_export.models.decision_transformer import DecisionTransformer, ModelConfig

Model = TypeVar("Model", DecisionTransformer, Backbone)


@dataclass(frozen=True)
class Found(Generic[Model]):
    """What a dialect found in the files it read."""

    model: Model  # float32, CPU, eval
    facts: Facts
    file: Path  # the one that held the weights
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint, with all facts that inference needs."""

    name: str  # a short name to call files after
    path: Path  # where its files are on this machine
    dialect: str
    model: DecisionTransformer | Backbone
    facts: Settled
    source: Source
    notes: tuple[str, ...] = ()  # for the user: conversions and assumed defaults
    warnings: tuple[str, ...] = ()  # for the user, loudly
    borrowed: frozenset[str] = frozenset()  # names of facts that only the fallback knew

    def with_context_length(self, length: int) -> "Checkpoint":
        """The same weights, for windows of another length in timesteps."""
        return replace(self, facts=replace(self.facts, context_length=length))


def symmetric_bounds(config: ModelConfig, inside: float = 1.0) -> Facts:
    """The bounds that a tanh gives every component: its scale, drawn in by a factor."""
    if not config.action_tanh:
        return Facts()
    bound = config.action_scale * inside
    return Facts(action_low=(-bound,) * config.act_dim, action_high=(bound,) * config.act_dim)
