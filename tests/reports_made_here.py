"""Validation reports with everything in them: passed, failed and undecided."""

import math
from dataclasses import dataclass, fields, replace

import numpy as np
from dt_runtime.contract import Contract

from dt_export.checkpoints import load
from dt_export.graphs import graph_of, windows
from dt_export.targets.contract import contract_of
from dt_export.validation.document import Document
from dt_export.validation.levels import Comparison, levels
from dt_export.validation.report import Report

SCRIPT = "<script>alert('x')</script> & \"quotes\" ]]> \x1b[31m"  # hostile in any format
VERSIONS = {"dt-export": "0.1.0", "torch": "2.13.0", "numpy": "2.4.6"}
ROUNDING = 2e-7
