"""Fresh processes: what they report, and what is reported where they fail."""

import numpy as np
import pytest

from dt_export.bench import cold
from dt_export.bench.cold import Program, cold_starts
from dt_export.bench.kinds import model_inputs
from dt_export.checkpoints import Overrides, load
from dt_export.errors import UsageError


@pytest.fixture(scope="module")
def nothing(tmp_path_factory):
    """A program whose first action is to do nothing."""
    file = tmp_path_factory.mktemp("programs") / "nothing.py"
    file.write_text("def first_action(given): pass\n")
    return Program(file, {"threads": 1})


def test_medians_of_fresh_processes(policy_file, nothing):
    seen = []
    programs = {"runtime": cold.runtime(policy_file, {}, 1), "nothing": nothing}
    starts = cold_starts(programs, 2, lambda *turn: seen.append(turn))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    for start in starts.values():
        assert start.first_action_s > 0
        assert start.runs == 2
        assert start.peak_bytes is None or 2**20 < start.peak_bytes < 2**31


def test_a_program_that_fails_says_why_and_the_others_go_on(tmp_path, nothing):
    broken = cold.runtime(tmp_path / "missing.onnx", {}, 1)
    starts = cold_starts({"broken": broken, "nothing": nothing}, 1)
    assert "missing.onnx: no such file" in starts["broken"]
    assert starts["nothing"].runs == 1


def test_no_runs():
    with pytest.raises(UsageError, match="cold runs is 0"):
        cold_starts({}, 0)


def test_the_runtime_program_imports_nothing_of_dt_export(policy_file, tmp_path):
    """As on a robot: what is not imported costs neither time nor memory."""
    file = tmp_path / "runtime_and_a_look.py"
    program = cold.runtime(policy_file, {}, 1)
    file.write_text(
        program.file.read_text()
        + """
import sys
act = first_action
def first_action(given):
    act(given)
    assert "dt_runtime" in sys.modules
    found = [name for name in sys.modules if name.partition(".")[0] in ("dt_export", "torch")]
    assert not found, found
"""
    )
    cold.fresh(Program(file, program.given))


def test_our_model_starts_with_the_flags_it_was_loaded_with(checkpoint_path, tmp_path):
    """All of them travel as JSON, paths too."""
    np.savez(tmp_path / "stats.npz", mean=np.zeros(5), std=np.ones(5))
    flags = Overrides(context_length=6, return_scale=100.0, stats=tmp_path / "stats.npz")
    specs = model_inputs(load(str(checkpoint_path), flags).model.config)
    seconds, _ = cold.fresh(cold.eager(checkpoint_path, flags, specs, 1))
    assert seconds > 0


def test_programs_of_files(artifacts, checkpoint):
    """Each reaches its first action; transformers' own in test_running.py."""
    specs = model_inputs(checkpoint.model.config)
    for program in (
        cold.torchscript(artifacts["torchscript", "sequence"], specs, 1),
        cold.bare_onnx(artifacts["onnx", "sequence"], 1),
    ):
        seconds, _ = cold.fresh(program)
        assert seconds > 0
