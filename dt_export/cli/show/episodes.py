"""Episodes that were played: returns and latencies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from dt_export.cli.show.table import plain_table

if TYPE_CHECKING:
    from dt_runtime import Episode


def episodes(played: list[Episode], provider: str) -> RenderableType:
    right = ("seed", "target", "return", "steps", "p50 us", "p99 us")
    table = plain_table("episode", *right, "end", right=("episode", *right))
    for index, episode in enumerate(played):
        seed = "" if episode.seed is None else str(episode.seed)
        end = "terminated" if episode.terminated else "time limit"
        numbers = (f"{episode.target_return:g}", f"{episode.total_return:.1f}", str(episode.length))
        table.add_row(str(index), seed, *numbers, *_percentiles(episode.latencies), end)
    returns = np.array([episode.total_return for episode in played])
    latencies = np.concatenate([episode.latencies for episode in played])
    p50, p99 = _percentiles(latencies)
    summary = Text(
        f"mean return {returns.mean():.1f} ± {returns.std():.1f} over {len(played)} episodes; "
        f"Policy.act p50 {p50} us, p99 {p99} us on {provider}",
        style="bold",
    )
    return Group(table, summary)


def _percentiles(latencies: np.ndarray[Any, Any]) -> tuple[str, str]:
    p50, p99 = np.percentile(latencies * 1e6, (50, 99))
    return f"{p50:.0f}", f"{p99:.0f}"
