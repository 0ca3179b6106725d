"""Fresh processes: what they report, and what is said of those that fail."""

import pytest

from dt_export.bench import cold
from dt_export.bench.cold import Program, cold_starts
from dt_export.errors import UsageError


def test_medians_of_fresh_processes(policy_file):
    seen = []
    programs = {"runtime": cold.runtime(policy_file, {}, 1), "nothing": Program("", {"threads": 1})}
    starts = cold_starts(programs, 2, lambda *turn: seen.append(turn))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    for start in starts.values():
        assert start.first_action_s > 0
        assert start.runs == 2
        assert start.peak_bytes is None or 2**20 < start.peak_bytes < 2**31


def test_a_program_that_fails_says_why_and_the_others_go_on(tmp_path):
    broken = cold.runtime(tmp_path / "missing.onnx", {}, 1)
    starts = cold_starts({"broken": broken, "nothing": Program("", {"threads": 1})}, 1)
    assert "missing.onnx: no such file" in starts["broken"]
    assert starts["nothing"].runs == 1


def test_no_runs():
    with pytest.raises(UsageError, match="cold runs is 0"):
        cold_starts({}, 0)
