"""An artifact's contract, compared with the one that an export of the checkpoint would have."""

from collections.abc import Iterator
from itertools import zip_longest

from dt_runtime.checks import PRESENT
from dt_runtime.contract import Contract, TensorSpec

from dt_export.checkpoints.checkpoint import Checkpoint
from dt_export.errors import UsageError
from dt_export.facts import FLAGS
from dt_export.graphs import graph_of
from dt_export.graphs.kind import GAUSSIAN
from dt_export.options import PRECISIONS
from dt_export.process.terminal import one_line
from dt_export.targets.artifact import Opened
from dt_export.targets.contract import contract_of


def contract_differences(
    contract: Contract, checkpoint: Checkpoint, targets: tuple[float, ...] = ()
) -> tuple[str, ...]:
    """What the runtime takes from the contract, compared with what an export would have written.

    Not what it says of itself (producer, validation), nor the environment, which changes no action:
    of that there is a note.

    Args:
        targets: returns that the user says were chosen at export, beside the checkpoint's own.
    """
    due = contract_due(contract, checkpoint)
    if due is None:
        return (f"outputs: no {contract.graph} graph of this checkpoint has {_heads(contract)}",)
    pairs: dict[str, tuple[object, object]] = {
        "source sha256": (contract.source.sha256, due.source.sha256),
        "dialect": (contract.dialect, due.dialect),
        "state size": (contract.state.size, due.state.size),
        "state shape": (contract.state.shape, due.state.shape),
        "action kind": (contract.action.kind, due.action.kind),
        "action size": (contract.action.size, due.action.size),
        "max_ep_len": (contract.max_ep_len, due.max_ep_len),
        "first_timestep": (contract.first_timestep, due.first_timestep),
        "context_length": (contract.context_length, due.context_length),
        "return_scale": (contract.return_scale, due.return_scale),
        "state mean": (contract.state.mean, due.state.mean),
        "state std": (contract.state.std, due.state.std),
        "action low": (contract.action.low, due.action.low),
        "action high": (contract.action.high, due.action.high),
        "action scale": (contract.action.scale, due.action.scale),
        "action offset": (contract.action.offset, due.action.offset),
    }
    if not _targets_fit(contract, checkpoint, targets):
        pairs["target returns"] = (contract.target_returns, checkpoint.facts.target_returns)
    # Of the artifact's K: where it is another, that is one difference and not one of each cache.
    same = contract_due(contract, checkpoint.with_context_length(contract.context_length)) or due
    for kind, seen, expected in (
        ("input", contract.inputs, same.inputs),
        ("output", contract.outputs, same.outputs),
    ):
        for mine, theirs in zip_longest(seen, expected):
            if mine != theirs:
                pairs[f"{kind} {(theirs or mine).name}"] = (_spec(mine), _spec(theirs))
    return tuple(
        f"{name}: {_says(seen, due)}{_HINTS.get(name, '')}"
        for name, (seen, due) in pairs.items()
        if seen != due
    )


def _targets_fit(contract: Contract, checkpoint: Checkpoint, chosen: tuple[float, ...]) -> bool:
    """A policy that is asked for nothing else asks for the contract's first target return."""
    due, seen = checkpoint.facts.target_returns, contract.target_returns
    if "target_returns" in checkpoint.borrowed or not due:
        return True
    return seen == due or (bool(seen) and set(seen) <= {*due, *chosen})


_HINTS = {
    "target returns": f"; if you chose it at export, pass {FLAGS['target_return'].name}",
}


def notes(contract: Contract, checkpoint: Checkpoint) -> tuple[str, ...]:
    facts, borrowed = checkpoint.facts, checkpoint.borrowed
    found: list[str] = []
    if taken := [name for fact, name in _UNCHECKED.items() if fact in borrowed]:
        flags = [_FLAGS[fact] for fact in _UNCHECKED if fact in borrowed and fact in _FLAGS]
        how = f" (pass {', '.join(flags)})" if flags else ""
        found.append(f"taken from the artifact itself, not checked: {', '.join(taken)}{how}")
    if "environment" not in borrowed and contract.environment != facts.environment:
        found.append(f"environment: {_says(contract.environment, facts.environment)}")
    return tuple(found)


_UNCHECKED = {
    "context_length": "context_length",
    "return_scale": "return_scale",
    "state_mean": "state statistics",
    "target_returns": "target returns",
    "environment": "environment",
}
_FLAGS = {  # that give a fact
    "context_length": FLAGS["context_length"].name,
    "return_scale": FLAGS["return_scale"].name,
    "state_mean": FLAGS["stats"].name,
}


def _says(seen: object, due: object) -> str:
    return f"the artifact's contract says {_short(seen)}, the checkpoint says {_short(due)}"


def precision_differences(opened: Opened, stated: str | None) -> Iterator[str]:
    said = {"the artifact's contract says": opened.contract.precision, "--precision says": stated}
    for who, precision in said.items():
        if precision not in (None, opened.precision):
            said_so = f"{who} {one_line(precision)}"
            yield f"precision: {said_so}, the graph computes in {opened.precision}"


def contract_due(contract: Contract, checkpoint: Checkpoint) -> Contract | None:
    """The contract that an export of this graph, with these outputs and sizes, would have.

    None where the checkpoint has no such graph.
    """
    kind, config = graph_of(contract), checkpoint.model.config
    heads = _heads(contract)
    sample = set(GAUSSIAN) <= set(heads)
    try:
        if kind.chooses_outputs:
            names = kind.output_names(config, heads)
        else:
            names = kind.output_names(config, sample=sample)
    except UsageError:
        return None
    precision = contract.precision if contract.precision in PRECISIONS else "fp32"
    return contract_of(checkpoint, kind, names, {}, precision, kind.sizes(contract))


def _heads(contract: Contract) -> tuple[str, ...]:
    """The names of the outputs that are no caches."""
    return tuple(spec.name for spec in contract.outputs if not spec.name.startswith(PRESENT))


def _spec(spec: TensorSpec | None) -> str:
    if spec is None:
        return "nothing"
    return f"{one_line(spec.name)} {spec.dtype} [{', '.join(str(axis) for axis in spec.shape)}]"


def _short(value: object) -> str:
    if isinstance(value, tuple) and len(value) > 3:
        return f"[{', '.join(f'{x:g}' for x in value[:3])}, ... {len(value)} numbers]"
    return "nothing" if value is None or value == () else one_line(str(value))
