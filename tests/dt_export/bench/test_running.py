"""Whole benchmarks of a tiny model: few turns, every kind of candidate, no claim on speed."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from oracles import atari

from dt_export import exporting
from dt_export.bench import bench, table
from dt_export.bench.catalogue import CATALOGUE
from dt_export.bench.report import Report
from dt_export.errors import UsageError
from dt_export.facts import Overrides
from dt_export.files.reports import write_report
from dt_export.process.terminal import console

pytestmark = pytest.mark.xdist_group("bench")  # the benchmark is made once

TURNS = 4
FLAGS = Overrides(context_length=6, return_scale=100.0, target_return=250.0)
WANTED = ("transformers", "eager", "torchscript", "naive", "policy")
ALL = [entry.key for entry in CATALOGUE if not entry.key.startswith("compile")]  # those take long


@pytest.fixture(scope="module")
def report(checkpoint_path):
    threads = torch.get_num_threads()
    made = bench(
        str(checkpoint_path),
        overrides=FLAGS,
        candidates=ALL,
        steps=TURNS,
        batch=2,
        cold=False,
        rate=200,
        seconds=0.05,
    )
    assert torch.get_num_threads() == threads
    return made


def shown(renderable):
    screen = console()
    with screen.capture() as capture:
        screen.print(renderable)
    return capture.get()


def test_every_candidate_has_its_numbers(report):
    assert [result.key for result in report.results] == ALL
    assert report.batch == 2
    for result in report.results:
        if result.key not in WANTED:  # fp16, int8 and steps depend on the machine and the model
            assert (result.step is None) == bool(result.reason)
            continue
        assert result.reason is None
        assert result.step.count == TURNS
        assert 0 < result.step.p50_us <= result.step.p95_us <= result.step.p99_us
        assert result.step.p99_us <= result.step.max_us
        assert result.distance == pytest.approx(result.step.p50_us / result.floor.floor_us)


def test_cold_starts_are_in_the_report(checkpoint_path):
    made = bench(
        str(checkpoint_path), overrides=FLAGS, candidates=("transformers",), steps=1, cold_runs=1
    )
    (result,) = made.results
    assert result.cold.runs == 1
    assert result.cold.first_action_s > 0
    assert Report.from_json(made.to_json()) == made


def test_ratios_are_against_transformers(report):
    assert report.baseline == "transformers"
    times = {r.key: r.times_faster for r in report.results}
    assert times["transformers"] == pytest.approx(1)
    first = report.results[0].step.p50_us
    measured = [r for r in report.results if r.step is not None]
    assert all(r.times_faster == pytest.approx(first / r.step.p50_us) for r in measured)


def test_an_artifact_is_a_run_and_what_the_policy_adds(report):
    policy = next(r for r in report.results if r.key == "policy")
    assert policy.run.count == TURNS
    assert policy.run.max_us < policy.step.max_us
    assert 0 < policy.overhead_us < policy.step.max_us
    others = [r for r in report.results if r.key in WANTED and r != policy]
    assert all(r.run is None and r.overhead_us is None for r in others)


def test_files_have_sizes(report):
    sizes = {r.key: r.file_bytes for r in report.results}
    assert sizes["transformers"] is None
    assert all(sizes[key] > 10_000 for key in ("torchscript", "naive", "policy"))


def test_artifacts_are_paced(report):
    assert [p.key for p in report.paced] == [r.key for r in report.results if r.run is not None]
    loop = report.paced[0]
    assert (loop.key, loop.rate, loop.periods) == ("policy", 200, 10)


def test_json_round_trip(report, tmp_path):
    path = tmp_path / "report.json"
    write_report(report.to_json(), path)
    text = path.read_text(encoding="utf-8")
    assert Report.from_json(text) == report
    document = json.loads(text)
    assert document["machine"]["cpu"]
    assert document["machine"]["cores"] >= 1
    assert {"torch", "onnxruntime", "transformers"} <= document["machine"]["versions"].keys()
    assert document["threads"] == 1
    assert document["results"][4]["step"]["p50_us"] == report.results[4].step.p50_us
    assert list(tmp_path.iterdir()) == [path]


def test_documents_that_are_no_reports(report):
    newer = json.loads(report.to_json()) | {"format": "2.0"}
    for text in ("", "[]", "{}", json.dumps(newer)):
        with pytest.raises(UsageError, match="not a report of `dt-export bench --json`"):
            Report.from_json(text)


def test_the_table_shows_everything_within_120_columns(report):
    text = shown(table.report(report))
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 120
    for result in report.results:
        assert result.title in text
    assert "at 200 Hz, period 5000 us" in text
    assert "uncounted, right before each call that counts" in text
    assert "times faster: medians, compared with transformers eager" in text
    assert "GFLOP/s fp32" in text


def test_an_unavailable_candidate_does_not_stop_the_others(tmp_path):
    """An Atari checkpoint: frames, logits, another dialect, floors that are not counted."""
    options = atari.Options()
    path = atari.save(
        tmp_path / "atari.pth", atari.state_dict(np.random.default_rng(0), options), options
    )
    flags = Overrides(n_head=2, target_return=90.0)
    made = bench(
        str(path),
        overrides=flags,
        candidates=("transformers", "eager", "policy"),
        steps=2,
        cold=False,
    )
    transformers, eager, policy = made.results
    assert transformers.reason == "transformers does not read the dialect atari"
    assert transformers.step is None
    assert made.baseline == "eager"
    assert eager.times_faster == pytest.approx(1)
    assert policy.step.count == 2
    assert (made.rates, policy.floor, policy.cold) == (None, None, None)
    assert "floors are not counted for models with states embedded by layers" in made.notes
    text = shown(table.report(made))
    assert "transformers eager: not available: transformers does not read the dialect" in text
    assert Report.from_json(made.to_json()) == made


def test_artifacts_next_to_the_eager_candidates(artifacts, checkpoint_path):
    files = [artifacts["onnx", "policy"], artifacts["torchscript", "sequence"]]
    files.append(artifacts["onnx", "sequence"])
    made = bench(
        str(checkpoint_path), [*files, files[0]], overrides=replace(FLAGS, context_length=None),
        steps=2, cold=False,
    )  # fmt: skip
    assert made.model.context_length == 6  # the artifact's own
    assert [r.key for r in made.results] == ["transformers", "eager", *map(str, files)]
    assert [r.title for r in made.results[2:]] == ["policy.onnx", "sequence.pt", "sequence.onnx"]
    assert all(r.step.count == 2 for r in made.results)
    assert [r.run is not None for r in made.results] == [False, False, True, False, True]


def test_nothing_to_pace_is_said(checkpoint_path):
    made = bench(
        str(checkpoint_path), overrides=FLAGS, candidates=("eager",), steps=1, cold=False, rate=100,
        seconds=0.1,
    )  # fmt: skip
    assert made.paced == ()
    assert any("--rate paces artifacts" in note for note in made.notes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(steps=0), "--steps is 0, expected at least 1"),
        (dict(batch=-1), "--batch is -1, expected at least 1"),
        (dict(threads=0), "--threads is 0, expected at least 1"),
        (
            dict(candidates=("policy", "magic")),
            "--sides has 'magic', expected some of transformers",
        ),
        (dict(candidates=()), "--sides is empty"),
        (dict(rate=-1), "--rate is -1, expected"),
        (dict(model="no/such/place.pt"), "no/such/place.pt"),
        (dict(artifacts=["missing.onnx"]), "missing.onnx: no such file"),
    ],
)
def test_usage_errors_come_before_anything_is_measured(options, message):
    with pytest.raises(UsageError, match=message):
        bench(**options)


@pytest.mark.parametrize("candidates", (("eager",), ("step",)))
def test_a_batch_that_no_memory_holds(checkpoint_path, monkeypatch, candidates):
    monkeypatch.setattr(exporting, "_memory", lambda: 2**20)
    with pytest.raises(UsageError, match=r"--batch is 4096: .* GiB or more"):
        bench(str(checkpoint_path), overrides=FLAGS, candidates=candidates, batch=4096)


def test_json_goes_where_it_can(report, tmp_path):
    with pytest.raises(UsageError, match="is a folder"):
        write_report(report.to_json(), tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        write_report(report.to_json(), tmp_path / "missing" / "report.json")
