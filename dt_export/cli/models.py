"""``dt-export models``: the presets, and the dialects that ``--model`` understands."""

import json
from typing import Annotated

from dt_export.checkpoints.presets import BUNDLED, PRESETS, Preset
from dt_export.cli.parameters import option
from dt_export.facts import FLAGS, SIDECAR
from dt_export.process import terminal


def models(
    dialects: Annotated[
        bool, option("--dialects", help="List the dialects of checkpoints instead.")
    ] = False,
) -> None:
    """List the presets, or the dialects of checkpoints that --model understands."""
    from dt_export.cli import show

    if dialects:
        terminal.console().print(show.dialects(dialect_rows()))
    else:
        terminal.console().print(show.presets(preset_rows()))


def preset_rows() -> list[tuple[str, str, str, str]]:
    """(name, environment, target returns, where its weights are) of each preset."""
    return [_preset(name, preset) for name, preset in PRESETS.items()]


def dialect_rows() -> list[tuple[str, str, str]]:
    """(name, what it is recognised by, flags that may be needed) of each dialect."""
    from dt_export.checkpoints import DIALECTS

    return [
        (name, d.LOOKED_FOR, " ".join(FLAGS[fact].spelling for fact in d.FLAGS))
        for name, d in DIALECTS.items()
    ]


def bundled_present(name: str) -> bool:
    return (BUNDLED / name / "model.safetensors").is_file()


def _preset(name: str, preset: Preset) -> tuple[str, str, str, str]:
    environment, targets = preset.facts.environment, preset.facts.target_returns
    where = f"hub: {preset.source}"
    if preset.bundled:
        where = "bundled, works offline"
        known = json.loads((BUNDLED / name / SIDECAR).read_text(encoding="utf-8"))
        environment, targets = known["environment"], known["target_returns"]
    return name, environment or "", ", ".join(f"{target:g}" for target in targets or ()), where
