"""WebAssembly beside the others in `dt-export bench`: Node.js times itself."""

import shutil
from time import perf_counter_ns

import pytest

from dt_export.bench import wasm
from dt_export.bench.candidate import Candidate, Exports, Setting
from dt_export.bench.timing import interleave
from dt_export.errors import UsageError
from dt_export.targets.c.wasm import compiler


def setting(checkpoint, folder, **fields) -> Setting:
    return Setting(checkpoint, Exports(folder), **fields)


@pytest.fixture
def tools() -> None:
    if shutil.which("node") is None:
        pytest.skip("no node")
    try:
        compiler()
    except UsageError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("precision", ("fp32", "int8"))
def test_a_process_of_its_own_counts_its_own_nanoseconds(checkpoint, tmp_path, tools, precision):
    candidate = wasm.exported(setting(checkpoint, tmp_path), precision, 1)
    begin = perf_counter_ns()
    took = candidate.step()
    assert 0 < took < perf_counter_ns() - begin
    samples = interleave({"wasm": candidate}, 5, warm_up=1)["wasm"]
    assert samples.run is None
    assert all(0 < seconds < 1 for seconds in samples.step)
    assert candidate.file is not None and candidate.file.suffix == ".wasm"


def test_the_clock_of_a_candidate_is_believed():
    candidate = Candidate(lambda: 1500, own_clock=True)
    samples = interleave({"told": candidate}, 4, warm_up=0, primed=0)["told"]
    assert samples.step.tolist() == pytest.approx([1.5e-6] * 4)


def test_a_process_that_ends_is_an_error(checkpoint, tmp_path, tools):
    process = wasm._Process([shutil.which("node"), "-e", "process.stdin.once('data', () => {"
                             "console.log('1'); process.exit(3); })"])  # fmt: skip
    with pytest.raises(UsageError, match="node stopped with exit code 3"):
        process.step()


def test_several_rows_are_refused(checkpoint, tmp_path, tools):
    with pytest.raises(UsageError, match="--batch is 2, and JavaScript is measured at 1"):
        wasm.exported(setting(checkpoint, tmp_path, batch=2), "fp32", 1)


def test_without_node(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="node is not installed"):
        wasm.exported(setting(checkpoint, tmp_path), "fp32", 1)
