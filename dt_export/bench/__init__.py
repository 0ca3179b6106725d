"""``dt-export bench``: one control step every way it can be had, measured in turn."""

from dt_export.bench.running import bench

__all__ = ["bench"]
