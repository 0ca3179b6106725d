"""A checkpoint in one line, then what was assumed and what is dangerous."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from dt_export.process.terminal import one_line

if TYPE_CHECKING:
    from dt_export.checkpoints import Checkpoint


def checkpoint(loaded: Checkpoint) -> RenderableType:
    config, facts = loaded.model.config, loaded.facts
    around = f"{facts.context_length} positions"
    if config.act_dim:  # a backbone has neither states nor actions
        around = (
            f"state {config.state_dim}, action {config.act_dim}, K {facts.context_length}, "
            f"return scale {facts.return_scale:g}"
        )
    head = Text.assemble(
        (one_line(loaded.name), "bold"),
        f"  {loaded.dialect}, {_count(config.n_layer, 'layer')}, "
        f"{_count(config.n_head, 'head')}, hidden {config.hidden_size}, {config.activation}; ",
        around,
    )
    notes = [Text(one_line(f"note: {note}"), style="dim") for note in loaded.notes]
    loud = [Text(one_line(f"warning: {warning}"), style="yellow") for warning in loaded.warnings]
    return Group(head, *notes, *loud)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
