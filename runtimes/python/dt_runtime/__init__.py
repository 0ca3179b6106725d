"""Run exported Decision Transformers with NumPy and ONNX Runtime only; compiled ones with NumPy."""

from dt_runtime.compiled import CompiledPolicy
from dt_runtime.contract import Contract, ContractError
from dt_runtime.engine import OnnxEngine, available_providers
from dt_runtime.errors import ArgumentError
from dt_runtime.library import Library
from dt_runtime.outputs import OutputError
from dt_runtime.policy import Policy
from dt_runtime.protocols import Engine
from dt_runtime.rollout import Episode, rollout

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "CompiledPolicy",
    "Contract",
    "ContractError",
    "Engine",
    "Episode",
    "Library",
    "OnnxEngine",
    "OutputError",
    "Policy",
    "available_providers",
    "rollout",
]
