"""Compiled candidates: a step, C's own share of it, and a native cold start."""

import pytest

from dt_export.bench import attempts, compiled
from dt_export.bench.candidate import Exports, Setting
from dt_export.bench.cold import cold_starts
from dt_export.errors import UsageError
from dt_export.exporting import export
from dt_export.targets.c import build


@pytest.fixture
def setting(checkpoint, tmp_path):
    folder = tmp_path / "exports"
    folder.mkdir()
    return Setting(checkpoint, Exports(folder))


@pytest.mark.filterwarnings("ignore:an episode is longer")
@pytest.mark.parametrize("batch", (1, 3))
def test_a_step_and_what_c_takes_of_it(setting, batch):
    setting = Setting(setting.checkpoint, setting.exports, batch)
    candidate = compiled.exported(setting, "fp32", 2)
    for _ in range(5):
        candidate.step()
    assert len(candidate.runs) == 5 and min(candidate.runs) > 0
    assert candidate.file.suffix == ".c"


def test_a_native_program_from_its_start_to_its_first_action(setting):
    candidate = compiled.exported(setting, "int8", 1, 16)
    start = cold_starts({"c": candidate.cold}, 2)["c"]
    assert start.runs == 2 and start.first_action_s > 0
    assert start.peak_bytes is None or start.peak_bytes > 0


def test_flags_of_the_compiler_make_another_candidate(setting):
    """The same export; a flag that the compiler does not know is a reason, not a crash."""
    compiled.exported(setting, "fp32", 1, flags=("-O1",))
    with pytest.raises(UsageError, match="refuses it"):
        compiled.exported(setting, "fp32", 1, flags=("-march=no-such-processor",))


@pytest.mark.filterwarnings("ignore:an episode is longer")
def test_artifacts_are_measured_with_their_own_slots(setting, checkpoint, tmp_path):
    source = tmp_path / "tiny.c"
    export(checkpoint, "c", source, slots=3, validate=False)
    library = source.with_suffix(build.LIBRARY)
    build.shared_library(source, library)
    made = list(attempts.from_files((source, library), setting))
    assert [(a.title, a.slots) for a in made] == [
        ("tiny.c, 3 slots", 3),
        (f"{library.name}, 3 slots", 3),
    ]
    assert [a.reason for a in made] == [None, None]
    for attempt in made:
        attempt.candidate.step()
    assert len(made[0].candidate.runs) == 1  # of a library somebody else compiled it is not known
    assert made[1].candidate.runs is None
