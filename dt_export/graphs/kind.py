"""What a graph is, said once: whoever exports, validates, runs or measures one asks its Kind."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

import torch
from dt_runtime.contract import Contract, TensorSpec
from torch import nn

from dt_export.checkpoints.checkpoint import Checkpoint
from dt_export.errors import UsageError
from dt_export.graphs.trials import Trial
from dt_export.models.backbone import Backbone
from dt_export.models.decision_transformer import DecisionTransformer, ModelConfig

BATCH, SEQUENCE = "batch", "sequence"
GAUSSIAN = ("mu", "log_std")
# What the layers of a graph compute in. bf16 and int8 are made of an fp32 graph.
DTYPES = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.float32,
    "int8": torch.float32,
}


class Units(Enum):
    """What the inputs of a graph are."""

    RAW = "raw observations, actions and returns-to-go"
    NORMALISED = "numbers as the network was trained on them"
    EMBEDDINGS = "tokens that the caller has embedded"


@dataclass(frozen=True)
class Kind:
    """One graph.

    Args:
        name: for ``--graph`` and the contract.
        model: the class of model that it wraps.
        units: of its inputs.
        make: makes the module to trace, of a checkpoint, the names of its outputs and the dtype
            of its layers. Positional inputs follow ``inputs``, outputs follow ``outputs``.
        inputs: specs of a configuration, a context length and NumPy's name for the dtype of the
            layers.
        outputs: specs of a configuration, names, a context length and that dtype.
        choose: the names of the outputs, of a configuration and of ``--outputs``, in order.
            Raises UsageError where the model has no such graph or output.
        trials: what validation runs.
        example: sizes of its axes to trace with. 1 would be taken for a constant.
        sizes: the axes that a file has fixed, by name, read from its contract.
        precisions: those it can be exported in.
        chooses_outputs: whether ``--outputs`` applies.
        stepwise: whether it takes one timestep and keeps the past in caches.
        derived_axes: whether some axes are sums or products of others.
        floats: a lower bound on the floats that one layer holds for one row; None where
            ``--static-batch`` and ``--static-length`` do not apply.
    """

    name: str
    model: type[nn.Module]
    units: Units
    make: Callable[[Checkpoint, tuple[str, ...], torch.dtype], nn.Module]
    inputs: Callable[[ModelConfig, int, str], tuple[TensorSpec, ...]]
    outputs: Callable[[ModelConfig, tuple[str, ...], int, str], tuple[TensorSpec, ...]]
    choose: Callable[[ModelConfig, tuple[str, ...]], tuple[str, ...]]
    trials: Callable[[Contract, ModelConfig], Iterable[Trial]]
    example: Mapping[str, int]
    sizes: Callable[[Contract], dict[str, int]]
    precisions: tuple[str, ...] = ("fp32",)
    chooses_outputs: bool = False
    stepwise: bool = False
    derived_axes: bool = False
    floats: Callable[[ModelConfig, int], int] | None = None

    @property
    def of_backbone(self) -> bool:
        """Whether it wraps the transformer alone, which is loaded as such."""
        return self.model is Backbone

    @property
    def takes_observations(self) -> bool:
        """Whether ``dt_runtime.Policy`` can run it."""
        return self.units is not Units.EMBEDDINGS

    def module(
        self,
        checkpoint: Checkpoint,
        names: tuple[str, ...] | None = None,
        precision: str = "fp32",
    ) -> nn.Module:
        """The module to trace, in eval mode.

        In ``fp16`` the layers compute in float16; what comes before and after them stays in
        float32, since raw inputs may be beyond float16.
        """
        names = names or self.output_names(checkpoint.model.config)
        return self.make(checkpoint, names, DTYPES[precision]).eval()

    def input_specs(
        self, config: ModelConfig, context_length: int = 1, precision: str = "fp32"
    ) -> tuple[TensorSpec, ...]:
        """What goes in. ``context_length`` is the size of caches, in timesteps."""
        return self.inputs(config, context_length, _dtype_name(precision))

    def output_specs(
        self,
        config: ModelConfig,
        names: tuple[str, ...],
        context_length: int = 1,
        precision: str = "fp32",
    ) -> tuple[TensorSpec, ...]:
        """What comes out under these names, and the caches after them."""
        return self.outputs(config, names, context_length, _dtype_name(precision))

    def output_names(
        self, config: ModelConfig, outputs: tuple[str, ...] = (), sample: bool = False
    ) -> tuple[str, ...]:
        """The names of the outputs, in order.

        Args:
            outputs: those that the user asks for; none for the usual ones, ``("all",)`` for all.
            sample: ``mu`` and ``log_std`` of a squashed Gaussian too.

        Raises:
            UsageError: there is no such output, or the model has no such graph.
        """
        if sample and not config.stochastic:
            raise UsageError(
                "--sample needs a stochastic head (online-dt), but this model has none"
            )
        if outputs and not self.chooses_outputs:
            raise UsageError(f"--outputs does not apply to --graph {self.name}")
        names = self.choose(config, outputs)
        return (*names, *(name for name in GAUSSIAN if sample and name not in names))

    def check_model(self, model: DecisionTransformer | Backbone) -> None:
        """Raise UsageError if the graph wraps another kind of model."""
        if not isinstance(model, self.model):
            raise UsageError(
                f"--graph {self.name}: load the checkpoint with backbone={self.of_backbone}"
            )


def _dtype_name(precision: str) -> str:
    """NumPy's name."""
    return str(DTYPES[precision]).removeprefix("torch.")
