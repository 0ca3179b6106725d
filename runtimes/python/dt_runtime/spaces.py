"""Does an environment fit a policy? Its spaces against the contract, before the first step."""

from typing import Any

from dt_runtime.contract import Contract
from dt_runtime.errors import ArgumentError
from dt_runtime.policy import Policy

# Gymnasium's own kinds of spaces, told by name: dt-runtime works without Gymnasium.
SPACES = (
    "Box", "Discrete", "MultiDiscrete", "MultiBinary", "Dict", "Tuple", "OneOf", "Text",
    "Sequence", "Graph",
)  # fmt: skip
FLATTENABLE = ("Dict", "Tuple", "Discrete", "MultiDiscrete", "MultiBinary")


def check_spaces(policy: Policy, env: Any) -> None:
    """Check that the environment's spaces match the contract.

    A vector environment is checked by the spaces of one of its environments. An environment that
    has no ``observation_space`` or no ``action_space`` is not checked for it: ``Policy.act`` still
    refuses observations of another shape.

    Raises:
        ValueError: a space contradicts the contract, or is of a kind that no policy can use.
    """
    vector = is_vector(env)
    prefix = "single_" if vector else ""
    observation = getattr(env, f"{prefix}observation_space", None)
    action = getattr(env, f"{prefix}action_space", None)
    if action is not None:
        _check_action(policy.contract, action)
    if observation is not None:
        _check_observation(policy.contract, observation, vector)


def is_vector(env: Any) -> bool:
    """Whether this is a Gymnasium vector environment: many environments stepped as one."""
    return hasattr(env, "num_envs")


def _check_action(contract: Contract, space: Any) -> None:
    action, kind = contract.action, _kind(space)
    due = "Discrete" if action.kind == "discrete" else "Box"
    if kind != due:
        expected = f"Discrete({action.size})" if due == "Discrete" else f"a Box of ({action.size},)"
        raise ArgumentError(
            f"the environment's action is {_shown(space)}, but the artifact gives {expected}"
            + _made_for(contract)
        )
    if due == "Box":
        _check_shape(contract, "action", space, (action.size,))
        return
    if space.n != action.size:
        raise ArgumentError(
            f"the environment has {space.n} actions, but the artifact {action.size}"
            + _made_for(contract)
        )
    if getattr(space, "start", 0) != 0:
        raise ArgumentError(
            f"the environment counts its actions from {space.start}, but the artifact from 0: "
            "wrap the environment in gymnasium.wrappers.TransformAction to add the start"
        )


def _check_observation(contract: Contract, space: Any, vector: bool) -> None:
    kind, shape = _kind(space), contract.state.shape
    if kind != "Box":
        wrapper = f"gymnasium.wrappers.{'vector.' if vector else ''}FlattenObservation"
        raise ArgumentError(
            f"the environment's observation is {_shown(space)}, but the artifact expects a Box of "
            f"{tuple(shape)}"
            + (f": wrap the environment in {wrapper}" if kind in FLATTENABLE else "")
        )
    _check_shape(contract, "observation", space, shape)
    dtype = next((spec.dtype for spec in contract.inputs if spec.name == "states"), None)
    seen = getattr(space, "dtype", None)
    if dtype == "uint8" and seen is not None and seen.kind not in "iu":
        raise ArgumentError(
            f"the environment's observation is {seen}, but the artifact expects frames of uint8, "
            "0 to 255"
        )


def _check_shape(contract: Contract, name: str, space: Any, expected: tuple[int, ...]) -> None:
    if space.shape is not None and tuple(space.shape) != tuple(expected):
        raise ArgumentError(
            f"the environment's {name} has shape {tuple(space.shape)}, but the artifact expects "
            f"{tuple(expected)}" + _made_for(contract)
        )


def _made_for(contract: Contract) -> str:
    return f": it was made for {contract.environment}" if contract.environment else ""


def _kind(space: Any) -> str:
    """The kind by the names of its classes; of an object that only resembles one, by its parts."""
    for cls in type(space).__mro__:
        if cls.__name__ in SPACES:
            return cls.__name__
    if getattr(space, "n", None) is not None:
        return "Discrete"
    return "Box" if getattr(space, "shape", None) is not None else type(space).__name__


def _shown(space: Any) -> str:
    """A space for a message: of a Dict only its keys."""
    if _kind(space) == "Dict":
        return f"a Dict of {', '.join(repr(key) for key in list(space)[:8])}"
    text = repr(space)
    return text if len(text) <= 100 else f"{text[:97]}..."
