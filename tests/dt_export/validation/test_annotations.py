"""Annotations and summaries of GitHub Actions, to the letter."""

import io
import re
from dataclasses import replace

import pytest
from reports_made_here import HOSTILE, documented, failed, passed, undecided

from dt_export.validation.annotations import SHOWN, annotations, announce, summary
from dt_export.validation.diagnosis import diagnose


def differing(*differences):
    return documented(replace(passed(), differences=differences))


@pytest.mark.parametrize(
    ("difference", "line"),
    [
        (
            "max_ep_len: the artifact's contract says 999, the checkpoint says 1000",
            "::error title=hopper.onnx%3A contract%2C max_ep_len::"
            "the artifact's contract says 999, the checkpoint says 1000",
        ),
        (
            "100 %, really: a\r\nb: 50%0A",
            "::error title=hopper.onnx%3A contract%2C 100 %25%2C really::a%0D%0Ab: 50%250A",
        ),
    ],
)
def test_a_line_for_each_failure(difference, line):
    assert annotations(differing(difference)) == (line,)


def test_none_where_all_passed():
    assert annotations(documented(passed())) == ()


def test_undecided_is_an_error_too():
    (line,) = annotations(documented(undecided()))
    assert line.startswith("::error title=hopper.onnx%3A closed loop%2C Hopper-v5%2C target 3600::")


def test_numbers_that_are_off_begin_with_what_is_likely():
    report = passed()
    off = tuple(replace(c, error=1e-3, abs_error=1e-3) for c in report.comparisons)
    report = replace(report, comparisons=off)
    likely, *others = annotations(documented(report))
    assert likely == f"::error title=hopper.onnx%3A likely::{diagnose(report)[0]}"
    assert len(others) == len({(c.case.group, c.output) for c in off})
    assert f"Likely: {diagnose(report)[0][:20]}" in summary(documented(report))


def test_github_shows_ten_and_the_last_one_says_how_many_more():
    lines = annotations(differing(*(f"fact {i}: a, b" for i in range(SHOWN + 5))))
    assert len(lines) == SHOWN
    assert lines[-1] == (
        "::error title=hopper.onnx%3A more::6 more checks failed: see the summary of this job"
    )
    assert len(annotations(differing(*(f"fact {i}: a, b" for i in range(SHOWN))))) == SHOWN


def test_no_text_begins_a_command_of_its_own():
    report = replace(failed(), differences=(f"{HOSTILE}: {HOSTILE}",))
    for line in annotations(documented(report, f"out/{HOSTILE}")):
        assert line.startswith("::error title=") and line.splitlines() == [line]
        title, _, _ = line.removeprefix("::error title=").partition("::")
        assert not re.search("[:,\r\n]", title)


EXPECTED = """\
### ❌ hopper.onnx: failed

Checkpoint bundled:hopper, policy graph, 1 case, seed 7.

Likely: LIKELY

| | area | check | found |
| --- | --- | --- | --- |
| ❌ | contract | max\\_ep\\_len | the artifact's contract says 999 \\| 1 &lt;b&gt; |
| ✅ | open loop | T = 1..20, B = 1, action | 1 case, worst: B=1 T=1 padding=0: expected 0.5, \
seen 0.5 (error 1.0e-07, allowed 1.0e-05, rounding 0.0e+00) |
| ⚪ | golden | golden episode | no golden episode was given: add --golden |
| ⚪ | trace | recorded episodes | no recorded episodes were given: add --trace |
| ⚪ | closed loop | returns | no environment was given: add --env |

"""


def small():
    report = passed()
    one = replace(report.comparisons[0], error=1e-7, rms=0.0, expected=0.5, seen=0.5)
    level = replace(report.levels[0], rounding=0.0, bound=1e-5, bound_rms=1e-5)
    differs = ("max_ep_len: the artifact's contract says 999 | 1 <b>",)
    return documented(replace(report, comparisons=(one,), levels=(level,), differences=differs))


def expected():
    (likely,) = diagnose(small().report)
    for raw, written in (("_", r"\_"), ("|", r"\|"), ("<b>", "&lt;b&gt;")):
        likely = likely.replace(raw, written)
    return EXPECTED.replace("LIKELY", likely)


def test_the_summary():
    assert summary(small()) == expected()


def test_a_row_of_the_summary_stays_one_row():
    text = summary(documented(replace(failed(), notes=(HOSTILE * 100,))))
    table = text[text.index("| | area") :].strip().splitlines()
    assert all(line.startswith("| ") and line.endswith(" |") for line in table)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {5}
    assert max(map(len, table)) < 1500 and "<script" not in text


def test_it_is_said_in_github_actions_alone(tmp_path):
    path, out = tmp_path / "summary.md", io.StringIO()
    path.write_text("# Before\n", encoding="utf-8")
    for elsewhere in ({}, {"GITHUB_STEP_SUMMARY": str(path)}, {"GITHUB_ACTIONS": "false"}):
        announce(small(), out, elsewhere)
    assert out.getvalue() == "" and path.read_text("utf-8") == "# Before\n"
    announce(small(), out, {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(path)})
    assert out.getvalue().splitlines() == list(annotations(small()))
    assert path.read_text("utf-8") == "# Before\n" + expected()


def test_without_a_summary_file_the_annotations_remain():
    out = io.StringIO()
    announce(small(), out, {"GITHUB_ACTIONS": "true"})
    assert out.getvalue().startswith("::error title=hopper.onnx%3A contract%2C max_ep_len::")
