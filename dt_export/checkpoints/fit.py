"""Do the facts fit the model? Asked once, wherever they came from: flags, files or a preset."""

from dt_runtime.contract import MAX_CONTEXT_LENGTH

from dt_export.errors import CheckpointError
from dt_export.facts import LARGEST, SMALLEST, Settled
from dt_export.models.decision_transformer import ModelConfig

OF_NUMBERS = ("action_low", "action_high", "action_scale", "action_offset")


def check(facts: Settled, config: ModelConfig) -> None:
    """Whether these facts can be true of a model, wherever they came from.

    Raises:
        CheckpointError: statistics or bounds of another size, reversed bounds, a number that would
            be divided by and is 0, a first timestep that the table of timesteps does not have.
    """
    per_component = {
        "state_mean": config.state_dim,
        "state_std": config.state_dim,
        "action_low": config.act_dim,
        "action_high": config.act_dim,
        "action_scale": config.act_dim,
        "action_offset": config.act_dim,
    }
    for key, size in per_component.items():
        values = getattr(facts, key)
        if values is not None and len(values) != size:
            raise CheckpointError(
                f"{key} has {len(values)} numbers, and the checkpoint's weights expect {size}"
            )
    for pair in (("state_mean", "state_std"), ("action_scale", "action_offset")):
        known = [key for key in pair if getattr(facts, key) is not None]
        if len(known) == 1:
            raise CheckpointError(f"{known[0]} is given without {pair[pair[0] == known[0]]}")
    _check_divisors(facts)
    if config.discrete and any(getattr(facts, key) is not None for key in OF_NUMBERS):
        raise CheckpointError(
            "actions are discrete, so they have no action_low, action_high, action_scale "
            "or action_offset: remove them, or pass --no-discrete"
        )
    if config.window is not None and facts.context_length > config.window:
        raise CheckpointError(
            f"context_length is {facts.context_length}, and the checkpoint has positions for "
            f"{config.window} timesteps"
        )
    for index, bounds in enumerate(
        zip(facts.action_low or (), facts.action_high or (), strict=False)
    ):
        if bounds[0] > bounds[1]:
            raise CheckpointError(
                f"action_low[{index}] is {bounds[0]:g} and action_high[{index}] is {bounds[1]:g}: "
                "every action would become one of the two; swap them"
            )
    if not 1 <= facts.context_length <= MAX_CONTEXT_LENGTH:
        raise CheckpointError(
            f"context_length is {facts.context_length}, expected 1 to {MAX_CONTEXT_LENGTH} "
            "timesteps; give it with --context-length"
        )
    if facts.first_timestep >= config.max_ep_len:
        raise CheckpointError(
            f"first_timestep is {facts.first_timestep}, and the checkpoint knows the timesteps 0 "
            f"to {config.max_ep_len - 1}"
        )


def _check_divisors(facts: Settled) -> None:
    """Numbers that others are divided by must be more than 0, in float32 too."""
    for index, value in enumerate(facts.state_std or ()):
        if not value >= SMALLEST:
            raise CheckpointError(
                f"state_std[{index}] is {value}, expected above 0: the state would be divided "
                "by it; add the epsilon that training added"
            )
    for index, value in enumerate(facts.action_scale or ()):
        if not abs(value) >= SMALLEST:
            raise CheckpointError(
                f"action_scale[{index}] is {value}: every action would be the same, and none "
                "could be turned back into the network's units"
            )
    if not SMALLEST <= facts.return_scale <= LARGEST:
        raise CheckpointError(
            f"return_scale is {facts.return_scale:g}, expected a number above 0 that float32 can "
            "hold; give it with --return-scale"
        )
