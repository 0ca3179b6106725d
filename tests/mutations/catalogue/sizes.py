"""Sizes that were baked into a graph, and outputs of the wrong shape or order."""

import onnx
from torch import Tensor, nn

from mutations import breaking
from mutations.catalogue.attention import windowed
from mutations.catalogue.numbers import POLICY, SCRIPT
from mutations.good import Good, Made
from mutations.mutant import Mutant

SHAPE = ("shape",)
SEQUENCE_SCRIPT = Good("torchscript", "sequence")


def batch_baked(given):
    """``int`` of a size is a number of the trace: 2 rows."""
    states = given["states"]
    return {"states": states.reshape(int(states.shape[0]), -1, states.shape[2])}


def length_baked(given):
    states = given["states"]
    return {"states": states.reshape(-1, int(states.shape[1]), states.shape[2])}


def static(**sizes: int):
    """Traced with sizes that are fixed, and told that they are free."""

    def breaks(made: Made, to) -> None:
        from dt_export.targets.contract import contract_of

        names = made.kind.output_names(made.checkpoint.model.config)
        fixed = contract_of(made.checkpoint, made.kind, names, {}, sizes=sizes)
        graph: onnx.ModelProto = made.retraced(contract=fixed)
        right = onnx.load(made.plain)
        for values, others in ((graph.graph.input, right.graph.input),
                               (graph.graph.output, right.graph.output)):  # fmt: skip
            for value, other in zip(values, others, strict=True):
                value.CopyFrom(other)
        graph.metadata_props.extend(right.metadata_props)
        breaking.save(graph, to)

    return breaks


class Out(nn.Module):
    """A graph whose outputs go through a function."""

    def __init__(self, graph: nn.Module, change) -> None:
        super().__init__()
        self.graph, self.change = graph, change

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.change(*self.graph(*inputs)))


def out(change):
    return breaking.module(lambda graph: Out(graph, change))


MUTANTS = (
    Mutant("the batch is baked in", SCRIPT, SHAPE, windowed(batch_baked), quick=True),
    Mutant("the length is baked in", SCRIPT, SHAPE, windowed(length_baked)),
    Mutant("the batch is baked in", POLICY, SHAPE, static(batch=1), words="batch size"),
    Mutant("the length is baked in", POLICY, SHAPE, static(sequence=20), words="window length"),
    Mutant("timesteps and mask swapped", SCRIPT, ("numbers", "shape"),
           windowed(lambda given: {"timesteps": given["attention_mask"],
                                   "attention_mask": given["timesteps"]})),
    Mutant("states and actions swapped", Good("torchscript", "policy", "huggingface"),
           ("numbers",), windowed(lambda given: {"states": given["actions"],
                                               "actions": given["states"]})),
    Mutant("two outputs swapped", SEQUENCE_SCRIPT, SHAPE,
           out(lambda first, second, third: (second, first, third))),
    Mutant("one row comes out", SCRIPT, SHAPE, out(lambda action: (action[:1],))),
    Mutant("an output has an axis too many", SCRIPT, SHAPE, out(lambda action: (action[:, None],))),
    Mutant("the oldest action of the window comes out", SEQUENCE_SCRIPT, ("outputs",),
           out(lambda s, a, r: (s, a.flip(1), r))),
    Mutant("rows come out in reverse", SCRIPT, ("rows",), out(lambda action: (action.flip(0),))),
)  # fmt: skip
