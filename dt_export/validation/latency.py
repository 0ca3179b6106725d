"""How long ``Policy.act`` took: percentiles, and a histogram for a plot."""

from dataclasses import dataclass

import numpy as np

BINS = 40


@dataclass(frozen=True)
class Latency:
    """Latencies of single calls, in microseconds.

    ``counts[i]`` calls took between ``edges_us[i]`` and ``edges_us[i + 1]``. The edges are equally
    far apart on a logarithmic scale and reach from the fastest call to the slowest one.
    """

    steps: int
    p50_us: float
    p99_us: float
    max_us: float
    edges_us: tuple[float, ...]  # one more than counts
    counts: tuple[int, ...]


def latency(seconds: np.ndarray) -> Latency | None:
    """The latency of calls that took so many seconds, [N]; None where there were none."""
    if not seconds.size:
        return None
    # A clock may be too coarse to see a call.
    micros = np.maximum(np.asarray(seconds, np.float64) * 1e6, 1e-3)
    p50, p99 = np.percentile(micros, (50, 99))
    low, high = float(micros.min()), float(micros.max())
    edges = np.geomspace(low, max(high, low * 1.01), BINS + 1)
    edges[0], edges[-1] = low, max(high, edges[-1])  # exactly: rounding must not lose a call
    counts, _ = np.histogram(micros, edges)
    return Latency(
        steps=int(micros.size),
        p50_us=float(p50),
        p99_us=float(p99),
        max_us=high,
        edges_us=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
    )
