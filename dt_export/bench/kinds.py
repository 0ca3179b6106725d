"""What the benchmark asks about graphs and files, in one place."""

from pathlib import Path

from dt_runtime.contract import TensorSpec
from torch import nn

from dt_export import exporting
from dt_export.checkpoints.checkpoint import Checkpoint
from dt_export.graphs import GRAPHS
from dt_export.models.decision_transformer import ModelConfig
from dt_export.targets import BY_SUFFIX

WHOLE, LAST_ACTION, STEP = GRAPHS["sequence"], GRAPHS["policy"], GRAPHS["step"]


def model_inputs(config: ModelConfig) -> tuple[TensorSpec, ...]:
    """Inputs of the model's whole forward pass: windows of any length."""
    return WHOLE.input_specs(config)


def policy_inputs(config: ModelConfig) -> tuple[TensorSpec, ...]:
    """Inputs of the ``policy`` graph: windows of any length."""
    return LAST_ACTION.input_specs(config)


def policy_module(checkpoint: Checkpoint) -> nn.Module:
    """The ``policy`` graph, to be called with tensors of ``policy_inputs``."""
    return LAST_ACTION.module(checkpoint)


def has_slots(graph: str) -> bool:
    """Whether a graph keeps caches, whose size fixes its K, and is run with a number of slots."""
    return GRAPHS[graph].stepwise


def check_memory(checkpoint: Checkpoint, batch: int, length: int, stepwise: bool) -> None:
    """Refuse a batch that this machine's memory cannot hold.

    Args:
        stepwise: whether every candidate keeps caches; the others hold whole windows.

    Raises:
        UsageError: it names ``--batch``.
    """
    exporting.check_memory(checkpoint, STEP if stepwise else LAST_ACTION, batch, length, "--batch")


def takes_observations(graph: str) -> bool:
    """Whether a graph takes observations; one that takes embeddings cannot be measured."""
    return GRAPHS[graph].takes_observations


def runs_in_runtime(path: Path) -> bool:
    """Whether ``dt_runtime`` runs the file; TorchScript is run by PyTorch."""
    return path.suffix in BY_SUFFIX and BY_SUFFIX[path.suffix].engine is not None
