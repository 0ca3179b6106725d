"""An artifact through ``dt_runtime``, as on a robot: nothing of dt-export is imported."""

from typing import Any

import numpy as np
from dt_runtime import Policy


def first_action(given: dict[str, Any]) -> None:
    """``given``: path, options (keywords of ``Policy``), threads."""
    policy = Policy(given["path"], threads=given["threads"], **given["options"])
    policy.reset(1000.0)
    policy.act(np.zeros(policy.contract.state.shape, np.uint8))
