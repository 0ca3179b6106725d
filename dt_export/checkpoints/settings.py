"""Facts of the architecture that no shape shows: stated by the file, flagged, or assumed."""

from dataclasses import fields
from typing import Any, TypeVar

from dt_export.checkpoints.reading import shown
from dt_export.errors import UsageError
from dt_export.facts import FLAGS, Overrides
from dt_export.models.decision_transformer import ACTIVATIONS, ModelConfig

# The flags that say how a model is built.
ARCHITECTURE = tuple(name for name in FLAGS if name in {f.name for f in fields(ModelConfig)})

Value = TypeVar("Value")


def contradict(overrides: Overrides, field: str, value: Any, where: str) -> None:
    """Raise UsageError if a flag says one thing and ``where`` another."""
    flag = getattr(overrides, field)
    if flag is not None and flag != value:
        name = FLAGS[field].name
        raise UsageError(
            f"{name} says {_word(flag)}, but {where} says {_word(value)}: drop the flag"
        )


class Settings:
    """Settles one fact after another and notes what it had to assume."""

    def __init__(self, overrides: Overrides, where: str):
        self.overrides, self.where = overrides, where
        self.notes: list[str] = []

    def stated(self, field: str, value: Value) -> Value:
        """What the file says; a flag may repeat it but not contradict it.

        Raises:
            UsageError: the flag contradicts it.
        """
        contradict(self.overrides, field, value, self.where)
        return value

    def assumed(self, field: str, default: Value) -> Value:
        """The flag, or else a default, which is noted."""
        flag: Value | None = getattr(self.overrides, field)
        if flag is not None:
            return flag
        self.notes.append(f"assumed {FLAGS[field].given(default)}")
        return default

    def heads(self, hidden_size: int, default: int, stated: int | None = None) -> int:
        """The number of heads, which must divide the hidden size."""
        if known := stated is not None:
            heads = self.stated("n_head", stated)
        else:
            heads = self.assumed("n_head", default)
        if heads < 1 or hidden_size % heads:
            what = f"{self.where}: n_head" if known else FLAGS["n_head"].name
            raise UsageError(
                f"{what} is {heads}, which does not divide the hidden size {hidden_size}"
            )
        return heads

    def activation(self, default: str, stated: str | None = None) -> str:
        name = self.stated("activation", stated) if stated else self.assumed("activation", default)
        if name not in ACTIVATIONS:
            what = f"{self.where}: activation" if stated else FLAGS["activation"].name
            raise UsageError(f"{what} is {shown(name)}, expected one of {', '.join(ACTIVATIONS)}")
        return name


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
