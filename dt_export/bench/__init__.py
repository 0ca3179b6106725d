"""``dt-export bench``: one control step, run in many ways and measured in turn."""

from dt_export.bench.running import bench

__all__ = ["bench"]
