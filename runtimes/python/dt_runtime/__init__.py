"""Run exported Decision Transformers with NumPy and ONNX Runtime only."""

from dt_runtime.contract import Contract, ContractError
from dt_runtime.engine import OnnxEngine, available_providers
from dt_runtime.errors import ArgumentError
from dt_runtime.outputs import OutputError
from dt_runtime.policy import Policy
from dt_runtime.protocols import Engine
from dt_runtime.rollout import Episode, rollout

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "Contract",
    "ContractError",
    "Engine",
    "Episode",
    "OnnxEngine",
    "OutputError",
    "Policy",
    "available_providers",
    "rollout",
]
