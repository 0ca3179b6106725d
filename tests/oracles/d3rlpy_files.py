"""Tiny random checkpoints of d3rlpy 2.8, made, saved and run by d3rlpy itself.

d3rlpy is imported inside the functions, so that this module loads without it: callers write
``pytest.importorskip("d3rlpy")`` first. Weights are large enough for every part of the network
to show in the output.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

ENCODERS: dict[str, dict[str, Any]] = {
    "plain": dict(hidden_units=[12, 16]),
    "one_layer": dict(hidden_units=[16], activation="tanh"),
    "linear_end": dict(hidden_units=[12, 16], exclude_last_activation=True),
    "last_tanh": dict(hidden_units=[12, 16], activation="swish", last_activation="tanh"),
    "layer_norm": dict(hidden_units=[12, 16], activation="gelu", use_layer_norm=True),
    "batch_norm": dict(hidden_units=[12, 16], use_batch_norm=True, dropout_rate=0.2),
    "gated_end": dict(hidden_units=[12, 32], last_activation="geglu"),
}
"""Arguments of ``VectorEncoderFactory``; each ends in 16 features."""

PIXEL_ENCODERS: dict[str, dict[str, Any]] = {
    "plain": dict(filters=[[4, 5, 2], [6, 3, 1]], feature_size=16),
    "linear_end": dict(
        filters=[[4, 5, 2], [6, 3, 1]], feature_size=16, exclude_last_activation=True
    ),
    "batch_norm": dict(
        filters=[[4, 5, 2], [6, 3, 1]], feature_size=16, use_batch_norm=True, dropout_rate=0.1
    ),
}
"""Arguments of ``PixelEncoderFactory`` for observations of 2 x 16 x 16."""

REWARD_SCALERS: dict[str, tuple[str, dict[str, Any]]] = {
    "multiply": ("Multiply", dict(multiplier=0.02)),
    "return": ("ReturnBased", dict(return_max=80.0, return_min=-20.0, multiplier=2.0)),
    "min_max": ("MinMax", dict(minimum=-1.5, maximum=38.5)),
    "standard": ("Standard", dict(mean=2.5, std=40.0)),
    "shift": ("ConstantShift", dict(shift=-3.0, multiplier=0.05)),
    "shift_last": ("ConstantShift", dict(shift=-0.5, multiplier=0.05, multiply_first=True)),
    "clip": ("Clip", dict(low=-2.0, high=12.0, multiplier=0.1)),
}
"""d3rlpy's reward scalers and their arguments; ``shift_last`` is a ``shift`` in the file."""


def reward_scaler(kind: str | None) -> Any:
    """One of ``REWARD_SCALERS`` as d3rlpy's object, or None."""
    from d3rlpy import preprocessing

    if kind is None:
        return None
    name, arguments = REWARD_SCALERS[kind]
    return getattr(preprocessing, f"{name}RewardScaler")(**arguments)


def observation_scaler(kind: str | None, size: int, rng: np.random.Generator) -> Any:
    """``standard``, ``min_max``, ``pixel`` or None, as d3rlpy's object."""
    from d3rlpy import preprocessing

    if kind == "standard":
        mean, std = rng.normal(0, 2, size), rng.uniform(0.05, 3, size)
        return preprocessing.StandardObservationScaler(mean=mean, std=std)
    if kind == "min_max":
        low, high = rng.uniform(-4, -1, size), rng.uniform(0.5, 3, size)
        return preprocessing.MinMaxObservationScaler(minimum=low, maximum=high)
    return preprocessing.PixelObservationScaler() if kind == "pixel" else None


def randomise(module: torch.nn.Module, seed: int) -> None:
    """Overwrite every weight and every running statistic."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            norm = parameter.ndim == 1 and name.endswith("weight")
            parameter.normal_(float(norm), 0.3, generator=generator)
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0, 0.3, generator=generator)
            elif name.endswith("running_var"):
                buffer.uniform_(0.3, 2, generator=generator)


def make_continuous(
    path: Path | None,
    *,
    scalers: bool = True,
    reward: str | None = "multiply",
    observation: str | None = "standard",
    encoder: str = "plain",
    simba: bool = False,
    num_heads: int = 2,
    num_layers: int = 2,
    context_size: int = 5,
    max_timestep: int = 9,
    activation: str = "relu",
    position: str = "simple",
    state_dim: int = 4,
    act_dim: int = 2,
    seed: int = 0,
) -> Any:
    """A DecisionTransformer, saved as ``.d3`` when there is a path.

    Without ``scalers`` there are none of the three kinds, whatever else is asked for.
    """
    from d3rlpy.algos import DecisionTransformerConfig
    from d3rlpy.models.encoders import SimBaEncoderFactory, VectorEncoderFactory
    from d3rlpy.preprocessing import MinMaxActionScaler

    rng = np.random.default_rng(seed)
    low, high = rng.uniform(-3, -1, act_dim), rng.uniform(0.5, 2, act_dim)
    algo = DecisionTransformerConfig(
        observation_scaler=observation_scaler(observation if scalers else None, state_dim, rng),
        action_scaler=MinMaxActionScaler(minimum=low, maximum=high) if scalers else None,
        reward_scaler=reward_scaler(reward if scalers else None),
        encoder_factory=(
            SimBaEncoderFactory(feature_size=16, hidden_size=20, n_blocks=2)
            if simba
            else VectorEncoderFactory(**ENCODERS[encoder])
        ),
        num_heads=num_heads,
        num_layers=num_layers,
        context_size=context_size,
        max_timestep=max_timestep,
        activation_type=activation,
        position_encoding_type=_position(position),
    ).create()
    return _finish(algo, (state_dim,), act_dim, path, seed)


def make_discrete(
    path: Path | None,
    *,
    pixels: bool = False,
    scalers: bool = True,
    reward: str | None = "multiply",
    observation: str | None = None,
    encoder: str = "plain",
    num_heads: int = 4,
    num_layers: int = 2,
    context_size: int = 5,
    max_timestep: int = 9,
    activation: str = "gelu",
    embed_activation: str = "tanh",
    position: str = "global",
    state_dim: int = 4,
    image: tuple[int, int, int] = (2, 16, 16),
    actions: int = 3,
    seed: int = 0,
) -> Any:
    """A DiscreteDecisionTransformer, saved as ``.d3`` when there is a path.

    ``observation`` names the observation scaler: by default ``pixel`` or ``standard``.
    """
    from d3rlpy.algos import DiscreteDecisionTransformerConfig
    from d3rlpy.models.encoders import PixelEncoderFactory, VectorEncoderFactory

    rng = np.random.default_rng(seed)
    kind = observation or ("pixel" if pixels else "standard")
    algo = DiscreteDecisionTransformerConfig(
        observation_scaler=observation_scaler(kind if scalers else None, state_dim, rng),
        reward_scaler=reward_scaler(reward if scalers else None),
        encoder_factory=(
            PixelEncoderFactory(**PIXEL_ENCODERS[encoder])
            if pixels
            else VectorEncoderFactory(**ENCODERS[encoder])
        ),
        num_heads=num_heads,
        num_layers=num_layers,
        context_size=context_size,
        max_timestep=max_timestep,
        activation_type=activation,
        embed_activation_type=embed_activation,
        position_encoding_type=_position(position),
    ).create()
    return _finish(algo, image if pixels else (state_dim,), actions, path, seed)


def _position(kind: str) -> Any:
    from d3rlpy import PositionEncodingType

    return PositionEncodingType(kind)


def _finish(algo: Any, shape: Sequence[int], actions: int, path: Path | None, seed: int) -> Any:
    algo.create_impl(tuple(shape), actions)
    randomise(transformer(algo), seed)
    algo.impl.modules.set_eval()
    if path is not None:
        algo.save(str(path))
    return algo


def transformer(algo: Any) -> torch.nn.Module:
    """The network inside an algorithm."""
    return algo.impl.modules.transformer


def windows(
    algo: Any, batch: int = 3, *, length: int | None = None, padding: int = 0, seed: int = 0
) -> dict[str, np.ndarray]:
    """Normalised windows of the algorithm's context size; row 0 is padded on the left.

    Continuous actions are [B, T, A], discrete ones [B, T]. Padding is zero everywhere.
    """
    rng = np.random.default_rng(seed)
    size = (batch, length or algo.config.context_size)
    discrete = algo.get_action_type().name == "DISCRETE"
    mask = np.ones(size, np.int64)
    mask[0, :padding] = 0
    draws = {
        "states": rng.normal(0, 1, (*size, *algo.observation_shape)).astype(np.float32),
        "actions": (
            rng.integers(0, algo.action_size, size)
            if discrete
            else rng.uniform(-1, 1, (*size, algo.action_size)).astype(np.float32)
        ),
        "returns_to_go": rng.normal(0, 1, (*size, 1)).astype(np.float32),
        "timesteps": rng.integers(1, algo.config.max_timestep + 1, size),
    }
    for values in draws.values():
        values[mask == 0] = 0
    return {**draws, "attention_mask": mask}


def reference_forward(algo: Any, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """What d3rlpy's own network says about normalised windows: [B, T, A].

    Actions in [-1, 1] or logits. ``attention_mask`` is 1 for a real timestep and 0 for padding,
    the reverse of what the network itself takes. What stands at padding is meaningless.
    """
    network = transformer(algo).eval()
    with torch.no_grad():
        output = network(
            torch.as_tensor(inputs["states"], dtype=torch.float32),
            torch.as_tensor(inputs["actions"], dtype=torch.float32),
            torch.as_tensor(inputs["returns_to_go"], dtype=torch.float32),
            torch.as_tensor(inputs["timesteps"], dtype=torch.int64),
            1.0 - torch.as_tensor(inputs["attention_mask"], dtype=torch.float32),
        )
    return (output[1] if isinstance(output, tuple) else output).numpy()


def reference_rollout(
    algo: Any, observations: np.ndarray, rewards: Sequence[float], target_return: float
) -> np.ndarray:
    """The actions of d3rlpy's stateful wrapper over given raw observations: [steps, A] or [steps].

    ``rewards[t]`` follows action t, so that the last one is not read. Discrete actions are the
    greedy ones.
    """
    return _rollout(algo, observations, rewards, target_return)[0]


def reference_logits(
    algo: Any, observations: np.ndarray, rewards: Sequence[float], target_return: float
) -> np.ndarray:
    """What the wrapper hands its sampler in the same rollout: actions or logits, [steps, A]."""
    return _rollout(algo, observations, rewards, target_return)[1]


def _rollout(
    algo: Any, observations: np.ndarray, rewards: Sequence[float], target_return: float
) -> tuple[np.ndarray, np.ndarray]:
    outputs: list[np.ndarray] = []

    def sample(output: np.ndarray) -> np.ndarray | int:
        outputs.append(output)
        discrete = algo.get_action_type().name == "DISCRETE"
        return int(output.argmax()) if discrete else output

    wrapper = algo.as_stateful_wrapper(target_return, sample)
    before = [0.0, *rewards][: len(observations)]
    pairs = zip(observations, before, strict=True)
    actions = [wrapper.predict(observation, float(reward)) for observation, reward in pairs]
    return np.array(actions), np.array(outputs)
