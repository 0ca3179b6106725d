"""`validate --json`: the whole report, with what it is about, and read again without loss."""

import json
import math
from dataclasses import replace

import pytest

from dt_export.errors import UsageError
from dt_export.files.ours import is_report
from dt_export.files.reports import write_report
from dt_export.targets import open_artifact
from dt_export.validation import check
from dt_export.validation.closed_loop import ClosedLoop
from dt_export.validation.document import FORMAT, Document, document


@pytest.fixture(scope="module")
def report(policy_file, checkpoint):
    return check(open_artifact(policy_file), checkpoint, seed=1)


def test_it_names_the_artifact_the_contract_and_the_versions(report, policy_file):
    content = json.loads(document(report, policy_file, "CPUExecutionProvider").to_json())
    assert list(content)[:2] == ["producer", "format"] and content["format"] == FORMAT == "2.0"
    assert content["artifact"] == str(policy_file)
    assert content["provider"] == "CPUExecutionProvider"
    assert {"dt-export", "torch", "numpy"} <= set(content["versions"])
    assert content["passed"] and content["cases"] == report.cases and content["seed"] == 1
    assert content["precision"] == "fp32" and content["stated"] is None
    assert content["contract"] == json.loads(report.contract.to_json())


def test_what_is_read_again_is_the_same(report, policy_file):
    whole = replace(
        report,
        notes=("a note",),
        differences=("a difference",),
        not_played="no environment",
        stated="int8",
        closed_loop=ClosedLoop("Hopper-v5", 3600.0, (1.5, 2.5), (1.25, 2.75)),
    )
    written = document(whole, policy_file, "CPUExecutionProvider")
    assert Document.from_json(written.to_json()) == written


def test_numbers_that_are_not_finite(report, policy_file):
    broken = replace(
        report.comparisons[0], error=math.inf, abs_error=math.inf, expected=math.nan, seen=math.nan
    )
    text = document(replace(report, comparisons=(broken,)), policy_file).to_json()
    (entry,) = json.loads(text)["comparisons"]
    assert entry["error"] is entry["abs_error"] is entry["expected"] is entry["seen"] is None
    (read,) = Document.from_json(text).report.comparisons
    assert read.error == read.abs_error == math.inf
    assert math.isnan(read.expected) and math.isnan(read.seen)
    assert not Document.from_json(text).report.passed


@pytest.mark.parametrize("text", ("", "[]", "{}", '{"format": "1.0"}', '{"format": "2.0"}'))
def test_another_document(text):
    with pytest.raises(UsageError, match="not a report of `dt-export validate --json`"):
        Document.from_json(text)


def test_a_report_is_known_as_ours(report, policy_file, tmp_path):
    write_report(document(report, policy_file).to_json(), tmp_path / "r.json")
    assert is_report(tmp_path / "r.json")
