"""What is traced: each graph wraps the model, and says what goes in and what comes out."""

from dt_runtime.contract import Contract

from dt_export.errors import UsageError
from dt_export.graphs import backbone, policy, sequence, step
from dt_export.graphs.kind import Kind

GRAPHS = {kind.name: kind for kind in (policy.KIND, step.KIND, sequence.KIND, backbone.KIND)}

__all__ = ["GRAPHS", "Kind", "graph_named", "graph_of"]


def graph_named(name: str) -> Kind:
    """The graph that ``--graph`` names.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in GRAPHS:
        raise UsageError(f"--graph is {name!r}, expected one of {', '.join(GRAPHS)}")
    return GRAPHS[name]


def graph_of(contract: Contract) -> Kind:
    """The graph of an artifact."""
    return GRAPHS[contract.graph]
