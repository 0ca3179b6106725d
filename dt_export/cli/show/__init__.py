"""What the commands print: one file for each thing shown. Results in, Rich renderables out."""

from dt_export.cli.show.checkpoint import checkpoint
from dt_export.cli.show.closed_loop import closed_loop, played
from dt_export.cli.show.contract import contract
from dt_export.cli.show.diagnosis import diagnosis
from dt_export.cli.show.episodes import episodes
from dt_export.cli.show.exported import exported
from dt_export.cli.show.golden import golden_result, recorded, replayed
from dt_export.cli.show.lists import dialects, health, presets
from dt_export.cli.show.parity import comparisons, verdict
from dt_export.cli.show.progress import cases, steps
from dt_export.cli.show.trace import trace_result
from dt_export.cli.show.video import video

__all__ = [
    "cases",
    "checkpoint",
    "closed_loop",
    "comparisons",
    "contract",
    "diagnosis",
    "dialects",
    "episodes",
    "exported",
    "golden_result",
    "health",
    "played",
    "presets",
    "recorded",
    "replayed",
    "steps",
    "trace_result",
    "verdict",
    "video",
]
