"""Facts of the architecture that shapes do not tell: stated by the file, flagged, or assumed."""

from typing import Any

from dt_export.checkpoints.reading import shown
from dt_export.errors import UsageError
from dt_export.facts import Overrides
from dt_export.models.decision_transformer import ACTIVATIONS

FLAGS = {
    "n_head": "--n-head",
    "activation": "--activation",
    "action_tanh": "--action-tanh",
    "discrete": "--discrete",
    "returns": "--returns",
}


def contradict(overrides: Overrides, field: str, value: Any, where: str) -> None:
    """Raise UsageError if a flag says something else than ``where`` does."""
    flag = getattr(overrides, field)
    if flag is not None and flag != value:
        raise UsageError(
            f"{FLAGS[field]} says {_word(flag)}, but {where} says {_word(value)}: drop the flag"
        )


class Settings:
    """Settles one fact after another and keeps notes of what had to be assumed."""

    def __init__(self, overrides: Overrides, where: str):
        self.overrides, self.where = overrides, where
        self.notes: list[str] = []

    def stated(self, field: str, value: Any) -> Any:
        """What the file says; a flag may repeat it but not contradict it.

        Raises:
            UsageError: it contradicts.
        """
        contradict(self.overrides, field, value, self.where)
        return value

    def assumed(self, field: str, default: Any) -> Any:
        """The flag, or else a default, which is noted."""
        flag = getattr(self.overrides, field)
        if flag is not None:
            return flag
        shown = f"{FLAGS[field]} {default}"
        if isinstance(default, bool):
            shown = FLAGS[field] if default else FLAGS[field].replace("--", "--no-")
        self.notes.append(f"assumed {shown}")
        return default

    def heads(self, hidden_size: int, default: int, stated: int | None = None) -> int:
        """The number of heads, which must divide the hidden size."""
        known = stated is not None
        heads = self.stated("n_head", stated) if known else self.assumed("n_head", default)
        if heads < 1 or hidden_size % heads:
            what = f"{self.where}: n_head" if known else FLAGS["n_head"]
            raise UsageError(
                f"{what} is {heads}, which does not divide the hidden size {hidden_size}"
            )
        return heads

    def activation(self, default: str, stated: str | None = None) -> str:
        name = self.stated("activation", stated) if stated else self.assumed("activation", default)
        if name not in ACTIVATIONS:
            what = f"{self.where}: activation" if stated else FLAGS["activation"]
            raise UsageError(f"{what} is {shown(name)}, expected one of {', '.join(ACTIVATIONS)}")
        return name


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
