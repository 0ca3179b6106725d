"""`validate --json`: the whole report, with what it is about, and read again without loss."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import reports_made_here as made
from jsonschema import Draft202012Validator

from dt_export.errors import UsageError
from dt_export.files.ours import is_report
from dt_export.files.reports import write_report
from dt_export.targets import open_artifact
from dt_export.validation import check
from dt_export.validation.document import FORMAT, Document, document
from dt_export.validation.document_schema import document_schema, undescribed
from dt_export.validation.report import Replayed
from dt_export.validation.trace import Along, TraceResult

DOCS = Path(__file__).parents[3] / "docs"
SCHEMA = Draft202012Validator(document_schema())


@pytest.fixture(scope="module")
def report(policy_file, checkpoint):
    return check(open_artifact(policy_file), checkpoint, seed=1)


def whole(report):
    """With everything that a report may have."""
    return replace(
        made.played(report),
        tolerance=1e-4,
        notes=("a note",),
        differences=("return_scale: a difference",),
        not_played="no environment",
        stated="int8",
        golden=Replayed("h.golden.json", 48, math.inf, 1e-5, 3, "event 1, row 0: actions"),
        trace=TraceResult(
            "log.npz", (Along(0, 250.0, (1e-7, math.inf), (1e-7, 2e-7), "a problem"),), 2e-7, 8e-7
        ),
    )


def test_it_names_the_artifact_the_contract_and_the_versions(report, policy_file):
    content = json.loads(document(report, policy_file, "CPUExecutionProvider").to_json())
    assert list(content)[:2] == ["producer", "format"] and content["format"] == FORMAT == "2.0"
    assert content["artifact"] == str(policy_file)
    assert content["provider"] == "CPUExecutionProvider"
    assert {"dt-export", "torch", "numpy"} <= set(content["versions"])
    assert content["passed"] and content["cases"] == report.cases and content["seed"] == 1
    assert content["precision"] == "fp32" and content["stated"] is None
    assert content["contract"] == json.loads(report.contract.to_json())
    assert content["diagnosis"] == content["drifts"] == []


@pytest.mark.parametrize("add", (lambda report: report, whole), ids=("open loop", "everything"))
def test_what_is_read_again_is_the_same(report, policy_file, add):
    written = document(add(report), policy_file, "CPUExecutionProvider")
    assert Document.from_json(written.to_json()) == written


@pytest.mark.parametrize("report", (made.passed(), made.failed(), made.undecided(),
                                    whole(made.failed("step"))))  # fmt: skip
def test_it_fits_its_schema(report):
    content = json.loads(made.documented(report).to_json())
    SCHEMA.validate(content)
    loop = content["closed_loop"]
    assert content["passed"] == report.passed
    assert loop is None or loop["passed"] == report.closed_loop.passed
    assert loop is None or [o["verdict"] for o in loop["outcomes"]] == [
        outcome.verdict for outcome in report.closed_loop.outcomes
    ]


def test_the_schema_is_the_one_in_the_docs():
    """If not: python -m dt_export.validation.document_schema > docs/validation.schema.json"""
    Draft202012Validator.check_schema(document_schema())
    written = (DOCS / "validation.schema.json").read_text()
    assert written == json.dumps(document_schema(), indent=2) + "\n"


def test_every_field_is_described():
    assert undescribed() == []


@pytest.mark.parametrize("field", ("passed", "comparisons", "levels", "contract"))
def test_the_schema_wants_every_field(field):
    content = json.loads(made.documented(made.passed()).to_json())
    del content[field]
    assert not SCHEMA.is_valid(content)


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


@pytest.mark.parametrize(
    ("field", "value"), (("levels", {}), ("seed", "1"), ("comparisons", [{}]), ("golden", 3))
)
def test_a_field_of_another_type(report, policy_file, field, value):
    content = json.loads(document(report, policy_file).to_json())
    with pytest.raises(UsageError, match="not a report of `dt-export validate --json`"):
        Document.from_json(json.dumps(content | {field: value}))


def test_a_report_is_known_as_ours(report, policy_file, tmp_path):
    write_report(document(report, policy_file).to_json(), tmp_path / "r.json")
    assert is_report(tmp_path / "r.json")
