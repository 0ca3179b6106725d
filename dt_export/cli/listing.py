"""What ``dt-export models`` lists: presets, and the dialects that ``--model`` understands."""

import json

from dt_export.checkpoints.presets import BUNDLED, PRESETS, Preset
from dt_export.facts import SIDECAR


def presets() -> list[tuple[str, str, str, str]]:
    """(name, environment, target returns, where its weights are) of each preset."""
    return [_preset(name, preset) for name, preset in PRESETS.items()]


def dialects() -> list[tuple[str, str, str]]:
    """(name, what it is recognised by, flags that may be needed) of each dialect."""
    from dt_export.checkpoints import DIALECTS

    return [(name, d.LOOKED_FOR, d.FLAGS) for name, d in DIALECTS.items()]


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
