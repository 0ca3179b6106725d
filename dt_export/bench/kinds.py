"""What the benchmark asks about graphs and files, in one place."""

from pathlib import Path

from dt_runtime.contract import TensorSpec
from torch import nn

from dt_export import graphs
from dt_export.checkpoints import Checkpoint
from dt_export.graphs.backbone import GRAPH as BACKBONE
from dt_export.graphs.step import GRAPH as STEP
from dt_export.models.decision_transformer import ModelConfig


def model_inputs(config: ModelConfig) -> tuple[TensorSpec, ...]:
    """Inputs of the model's whole forward pass: windows of any length."""
    return graphs.input_specs(config, "sequence")


def policy_inputs(config: ModelConfig) -> tuple[TensorSpec, ...]:
    """Inputs of the ``policy`` graph: windows of any length."""
    return graphs.input_specs(config, "policy")


def policy_module(checkpoint: Checkpoint) -> nn.Module:
    """The ``policy`` graph, to be called with tensors of ``policy_inputs``."""
    return graphs.build(checkpoint, "policy")


def has_slots(graph: str) -> bool:
    """Whether a graph keeps caches, whose size fixes its K, and is run with a number of slots."""
    return graph == STEP


def takes_observations(graph: str) -> bool:
    """Whether a graph takes observations; one that takes embeddings cannot be measured."""
    return graph != BACKBONE


def in_onnx_runtime(path: Path) -> bool:
    """Whether ``dt_runtime`` runs the file; TorchScript is run by PyTorch."""
    return path.suffix in (".onnx", ".ort")
