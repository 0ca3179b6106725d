"""Everything that an artifact says about itself."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dt_export.cli.show.table import file_size, plain_table
from dt_export.process.terminal import one_line

if TYPE_CHECKING:
    from dt_runtime import Contract
    from dt_runtime.contract import Validation


def contract(
    found: Contract, path: Path, operators: Counter[str], note: str = ""
) -> RenderableType:
    """The contract of the artifact at ``path``, and ``note`` on how its operators were counted."""
    state, action, validation = found.state, found.action, found.validation
    facts = plain_table("", "", title=f"{path}  {file_size(path.stat().st_size)}")
    facts.show_header = False
    rows = {
        "graph": f"{found.graph}, {found.precision}, dialect {found.dialect}",
        "context length": f"{found.context_length} timesteps, the first is number "
        f"{found.first_timestep}, at most {found.max_ep_len} in an episode",
        "return scale": f"{found.return_scale:g}",
        "target returns": ", ".join(f"{t:g}" for t in found.target_returns) or "none",
        "environment": found.environment or "unknown",
        "action": f"{action.kind}, {action.size}",
        "state": f"shape {list(state.shape)}, "
        + ("statistics below" if state.mean else "no statistics: used as it is"),
        "source": f"{found.source.model}"
        + (f" at {found.source.revision}" if found.source.revision else ""),
        "weights sha256": found.source.sha256 or "unknown",
        "producer": ", ".join(f"{k} {v}" for k, v in sorted(found.producer.items())),
        "validation": "none: exported with --no-validate"
        if validation is None
        else f"{validation.cases} cases against {validation.reference}, worst error "
        f"{validation.max_error:.1e}, allowed {validation.tolerance:.1e}" + _earned(validation),
    }
    for name, value in rows.items():
        facts.add_row(Text(name, style="dim"), Text(one_line(value)))
    tensors = plain_table("tensor", "dtype", "shape")
    for kind, specs in (("in", found.inputs), ("out", found.outputs)):
        for spec in specs:
            shape = ", ".join(str(axis) for axis in spec.shape)
            name = one_line(spec.name)
            tensors.add_row(f"{kind}  {name}", spec.dtype, Text(one_line(f"[{shape}]")))
    parts: list[RenderableType] = [facts, Text(), tensors]
    for title, names, columns in (
        ("state", state.names, {"mean": state.mean, "std": state.std}),
        ("action", action.names, {"low": action.low, "high": action.high}),
    ):
        if any(columns.values()):
            parts += [Text(), _components(title, names, columns)]
    parts += [
        Text(),
        Text(
            "operators: "
            + (", ".join(f"{n} {k}" for k, n in operators.most_common()) or "none")
            + (f" ({note})" if note else "")
        ),
    ]
    return Group(*parts)


def _earned(validation: Validation) -> str:
    if not validation.episodes:
        return ""
    return (
        f"; earned {validation.mean_return:.1f}, fp32 {validation.fp32_return:.1f} "
        f"({validation.episodes} episodes)"
    )


def _components(
    title: str,
    names: tuple[str, ...] | None,
    columns: dict[str, tuple[float, ...] | None],
) -> Table:
    table = plain_table(title, *columns, right=tuple(columns))
    size = max(len(values or ()) for values in columns.values())
    for index in range(size):
        values = ("" if v is None else f"{v[index]:.6g}" for v in columns.values())
        table.add_row(f"{index} {one_line(names[index])}" if names else str(index), *values)
    return table
