"""Which weights of a graph are inside its layers: those that a smaller precision may shrink."""

from torch import nn

from dt_export.graphs.folding import FoldedAttention
from dt_export.models.decision_transformer import Block


def layer_weights(graph: nn.Module) -> frozenset[str]:
    """The names of the matrices of all linear maps in blocks and attentions.

    A module that has several names has all of them here: which one an exporter takes is its own
    affair.

    The embeddings and the head stand outside: raw inputs do not share one scale, and the head is
    too small to gain.
    """
    return frozenset(
        f"{name}.{inner}.weight"
        for name, part in graph.named_modules(remove_duplicate=False)
        if isinstance(part, Block | FoldedAttention)
        for inner, linear in part.named_modules()
        if isinstance(linear, nn.Linear)
    )
