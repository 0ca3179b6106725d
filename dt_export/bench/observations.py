"""What a policy is given in a step that is measured."""

from typing import Any

import numpy as np
from dt_runtime import Policy

TARGET_RETURN = 1000.0  # raw; any value means the same work


def observation_of(policy: Policy) -> tuple[np.ndarray, Any]:
    """An observation and a reward for every row of the policy."""
    rng, shape = np.random.default_rng(0), policy.contract.state.shape
    one = policy.batch_size == 1
    rows = () if one else (policy.batch_size,)
    reward = 0.0 if one else np.zeros(policy.batch_size)
    if any(spec.dtype == "uint8" for spec in policy.contract.inputs):
        return rng.integers(0, 256, (*rows, *shape), np.uint8), reward
    return rng.standard_normal((*rows, *shape)), reward
