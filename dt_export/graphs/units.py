"""From raw numbers to the network's, and from its last hidden state to a raw action."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dt_export.facts import Facts, Settled
from dt_export.models.decision_transformer import DecisionTransformer


class InputNormaliser(nn.Module):
    """Raw observations, actions and returns-to-go in the units that the network was trained on."""

    def __init__(self, facts: Settled):
        super().__init__()
        self.return_scale = facts.return_scale
        self.mean = constant(self, "mean", facts.state_mean)
        self.std = constant(self, "std", facts.state_std)
        self.scale = constant(self, "scale", facts.action_scale)
        self.offset = constant(self, "offset", facts.action_offset)

    def forward(
        self, states: Tensor, actions: Tensor, returns_to_go: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        if self.mean is not None and self.std is not None:
            states = (states - self.mean) / self.std
        if self.scale is not None and self.offset is not None:
            actions = (actions - self.offset) / self.scale
        if returns_to_go is not None:
            returns_to_go = returns_to_go / self.return_scale
        return states, actions, returns_to_go


class Head(nn.Module):
    """The named outputs of a policy, read from a state token's last hidden state [B, H].

    ``action`` is raw and within its bounds, ``logits`` are those of a discrete one, ``mu`` and
    ``log_std`` those of a squashed Gaussian; each is [B, A].
    """

    def __init__(self, model: DecisionTransformer, facts: Facts, names: tuple[str, ...]):
        super().__init__()
        self.model, self.names, config = model, names, model.config
        self.scale = constant(self, "scale", facts.action_scale)
        self.offset = constant(self, "offset", facts.action_offset)
        unbounded = config.discrete or (config.action_tanh and _within(facts, config.action_scale))
        self.low = None if unbounded else constant(self, "low", facts.action_low)
        self.high = None if unbounded else constant(self, "high", facts.action_high)

    def forward(self, hidden: Tensor) -> tuple[Tensor, ...]:
        model = self.model
        values: dict[str, Callable[[Tensor], Tensor]] = {
            "mu": model.predict_action,
            "log_std": model.log_std,
            "action": lambda x: self.bound(model.act(x)),
            "logits": model.act,
        }
        return tuple(values[name](hidden) for name in self.names)

    def bound(self, action: Tensor) -> Tensor:
        """The raw action, within its bounds."""
        if self.scale is not None and self.offset is not None:
            action = action * self.scale + self.offset
        if self.low is not None:
            action = torch.maximum(action, self.low)
        return action if self.high is None else torch.minimum(action, self.high)


def constant(module: nn.Module, name: str, values: tuple[float, ...] | None) -> Tensor | None:
    """Numbers as a buffer of the module, or nothing."""
    if values is None:
        return None
    module.register_buffer(f"_{name}", torch.tensor(values, dtype=torch.float32))
    return module.get_buffer(f"_{name}")


def _within(facts: Facts, bound: float) -> bool:
    """Whether the bounds are no tighter than tanh's own."""
    if facts.action_scale is not None:
        return False
    lows, highs = facts.action_low or (-bound,), facts.action_high or (bound,)
    return all(low <= -bound for low in lows) and all(high >= bound for high in highs)
