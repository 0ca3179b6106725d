"""JUnit XML, read again by a program that CI servers' plugins are built on."""

import re
from xml.etree import ElementTree

import pytest
from reports_made_here import HOSTILE, documented, failed, passed, played, replayed, undecided

from dt_export.errors import UsageError
from dt_export.files.ours import is_junit
from dt_export.validation.checks import AREAS, checks
from dt_export.validation.junit import junit, write_junit

junitparser = pytest.importorskip("junitparser")
REPORTS = {
    "passed": passed,
    "played": lambda: played(passed("step")),
    "replayed": lambda: replayed(passed()),
    "undecided": undecided,
    "failed": failed,
}
# Of the schema that Jenkins and most others check: what each element may hold, in order.
SCHEMA = {
    "testsuites": ("testsuite", {"name", "tests", "failures", "errors", "time"}),
    "testsuite": (
        "properties testcase system-out",
        {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    ),
    "properties": ("property", set()),
    "property": ("", {"name", "value"}),
    "testcase": ("skipped failure system-out", {"name", "classname", "time"}),
    "skipped": ("", {"message"}),
    "failure": ("", {"message", "type"}),
    "system-out": ("", set()),
}


@pytest.mark.parametrize("word", REPORTS)
def test_another_program_reads_the_same_counts(word):
    report = REPORTS[word]()
    found = checks(report)
    document = junitparser.JUnitXml.fromstring(junit(documented(report)).encode())
    cases = [case for suite in document for case in suite]
    assert [case.name for case in cases] == [
        check.name for area in AREAS for check in found if check.area == area
    ]
    expected = {
        "tests": len(found),
        "failures": sum(c.verdict in ("failed", "undecided") for c in found),
        "errors": 0,
    }
    skipped = sum(c.verdict == "skipped" for c in found)
    assert sum(suite.skipped for suite in document) == skipped
    assert {name: getattr(document, name) for name in expected} == expected
    document.update_statistics()  # counted anew, from the cases
    assert {name: getattr(document, name) for name in expected} == expected
    assert document.skipped == skipped
    assert (document.failures == 0) == report.passed


@pytest.mark.parametrize("word", REPORTS)
def test_it_holds_what_the_schema_allows(word):
    root = ElementTree.fromstring(junit(documented(REPORTS[word]()), seconds={}, timestamp="x"))
    assert root.tag == "testsuites"
    for element in root.iter():
        children, attributes = SCHEMA[element.tag]
        assert set(element.attrib) <= attributes
        order = [children.split().index(child.tag) for child in element]
        assert order == sorted(order)


def test_suites_classes_and_properties_are_what_a_ci_server_groups_by():
    document = junitparser.JUnitXml.fromstring(junit(documented(failed())).encode())
    suites = {suite.name: suite for suite in document}
    assert set(suites) == {f"hopper.onnx: {a}" for a in AREAS}
    suite = suites["hopper.onnx: open loop"]
    assert {case.classname for case in suite} == {"hopper_onnx.open loop"}
    properties = {p.name: p.value for p in suite.properties()}
    assert properties["seed"] == "7" and properties["version.torch"] == "2.13.0"
    assert properties["checkpoint"] == "bundled:hopper" and properties["graph"] == "policy"


def test_a_failure_has_both_values_and_a_skipped_check_its_reason():
    document = junitparser.JUnitXml.fromstring(junit(documented(failed())).encode())
    cases = {case.name: case for suite in document for case in suite}
    (failure,) = cases["T = 1..20, B = 3, action"].result
    assert re.search(r"expected \S+, seen \S+ \(error 4.0e-04, allowed", failure.message)
    assert len(failure.text.splitlines()) == 8 and failure.type == "failed"
    (skipped,) = cases["taken from the artifact itself, not checked"].result
    assert skipped.message == "state statistics (pass --stats)"


def test_no_message_makes_it_invalid():
    text = junit(documented(failed(), f"out/\0\x1b\ud800\uffff{HOSTILE}"))
    root = ElementTree.fromstring(text.encode())
    messages = [failure.get("message") or "" for failure in root.iter("failure")]
    assert any("<script>alert('x')</script> & \"quotes\" ]]> | \\x1b[31m" in m for m in messages)
    (name,) = {p.get("value") for p in root.iter("property") if p.get("name") == "artifact"}
    assert str(name).startswith("out/\\x00\\x1b\\ud800\\uffff<script>")


def test_a_suite_that_failed_says_what_is_likely():
    root = ElementTree.fromstring(junit(documented(failed())))
    said = [suite.findtext("system-out") for suite in root if suite.get("failures") != "0"]
    assert said and all("the contract is wrong in return_scale" in str(text) for text in said)
    root = ElementTree.fromstring(junit(documented(passed())))
    assert [suite.findtext("system-out") for suite in root] == [None] * len(root)


def test_times_are_those_of_the_areas():
    text = junit(documented(passed()), seconds={"open loop": 1.25, "contract": 0.5})
    document = junitparser.JUnitXml.fromstring(text.encode())
    assert document.time == 1.75
    assert {suite.name: suite.time for suite in document}["hopper.onnx: open loop"] == 1.25


def test_an_earlier_one_is_replaced_and_nothing_else_is(tmp_path):
    path, text = tmp_path / "out.xml", junit(documented(passed()))
    for _ in range(2):
        write_junit(text, path)
    assert is_junit(path) and path.read_text("utf-8") == text
    path.write_text('<testsuites name="mine"/>', encoding="utf-8")
    with pytest.raises(UsageError, match=r"--junit .*did not write it"):
        write_junit(text, path)
    write_junit(text, path, force=True)
