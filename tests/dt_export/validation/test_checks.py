"""A report as a list of checks."""

from dataclasses import replace

import pytest
from reports_made_here import failed, passed, played, replayed, undecided

from dt_export.validation.checks import AREAS, checks, verdict


def of(report, area):
    return {c.name: c for c in checks(report) if c.area == area}


@pytest.mark.parametrize("graph", ("policy", "step", "sequence"))
def test_there_is_one_for_each_group_and_output(graph):
    report = passed(graph)
    expected = {f"{c.case.group}, {c.output}" for c in report.comparisons}
    found = of(report, "open loop")
    assert set(found) == expected
    assert {check.verdict for check in found.values()} == {"passed"}
    assert verdict(report) == "passed"


def test_names_are_unique_and_areas_known():
    for report in (passed(), failed(), undecided()):
        found = checks(report)
        assert len({(c.area, c.name) for c in found}) == len(found)
        assert {c.area for c in found} <= set(AREAS)
        assert all(c.message and "\n" not in c.message.replace("\r\n", "") for c in found)


def test_a_fact_that_differs():
    check = of(failed(), "contract")["return_scale"]
    assert check.verdict == "failed"
    assert check.message == "the artifact's contract says 100.0, the checkpoint says 1000.0"


def test_what_was_not_checked_is_skipped_with_the_reason():
    check = of(failed(), "contract")["taken from the artifact itself, not checked"]
    assert (check.verdict, check.message) == ("skipped", "state statistics (pass --stats)")
    (returns,) = of(passed(), "closed loop").values()
    assert returns.verdict == "skipped" and "--env" in returns.message


def test_a_failure_names_case_values_and_bound():
    found = of(failed(), "open loop")
    check = found["T = 1..20, B = 3, action"]
    assert check.verdict == "failed"
    assert check.message.startswith("B=3 T=13 padding=0: expected ")
    assert "error 4.0e-04, allowed" in check.message and check.message.endswith("(and 7 more)")
    assert len(check.detail.splitlines()) == 8


def test_a_group_that_is_off_on_the_whole():
    report = passed()
    level = report.levels[0]
    off = tuple(
        replace(c, rms=1.5 * level.bound_rms) if c.case.padding else c for c in report.comparisons
    )
    report = replace(report, comparisons=off)
    assert not report.failures and report.drifts and verdict(report) == "failed"
    bad = [c for c in of(report, "open loop").values() if c.verdict == "failed"]
    assert {c.name for c in bad} == {f"{d.group}, {d.output}" for d in report.drifts}
    assert all("on the whole" in c.message for c in bad)


def test_nothing_was_comparable():
    report = replace(passed(), comparisons=(), levels=(), differences=("state size: 3, 11",))
    (check,) = of(report, "open loop").values()
    assert check.verdict == "skipped" and "no numbers were compared" in check.message
    assert verdict(report) == "failed"


def test_the_closed_loop_has_returns_and_actions_of_each_target():
    report = played(passed())
    found = of(report, "closed loop")
    assert set(found) == {
        f"Hopper-v5, target {target}{what}" for target in (1800, 3600) for what in ("", ", actions")
    }
    assert {c.verdict for c in found.values()} == {"passed"}
    assert "over 20 seeds" in found["Hopper-v5, target 3600"].message


def test_golden_and_recorded_episodes():
    report = replayed(passed())
    assert verdict(report) == "passed"
    assert of(report, "golden")["hopper.json"].message.startswith("48 calls of act, worst diff")
    assert set(of(report, "trace")) == {f"episode {n}, target {1000 * n}" for n in range(3)}
    report = replayed(passed(), off=True)
    assert verdict(report) == "failed"
    assert of(report, "golden")["hopper.json"].message == (
        "2 mismatches in 48 calls of act, the first: call 3: 0.1, 0.6"
    )
    good, late, ended = of(report, "trace").values()
    assert [c.verdict for c in (good, late, ended)] == ["passed", "failed", "failed"]
    assert "2.0e-03 at timestep 155, allowed 8.0e-07" in late.message
    assert ended.message.startswith("RuntimeError") and ended.message.endswith("(0 timesteps)")


def test_undecided_returns_say_how_many_episodes_would_settle_it():
    report = undecided()
    assert not report.passed and verdict(report) == "undecided"
    check = of(report, "closed loop")["Hopper-v5, target 3600"]
    assert check.verdict == "undecided" and "episodes would settle it" in check.message


def test_a_crash_and_actions_beyond_their_bound_fail():
    report = failed()
    assert of(report, "closed loop")["Hopper-v5, target 1800"].message.startswith("seed 3: Value")
    good = played(passed())
    off = replace(good.closed_loop.pairs[0], forced_error=1e-3)
    loop = replace(good.closed_loop, pairs=(off, *good.closed_loop.pairs[1:]))
    report = replace(good, closed_loop=loop)
    check = of(report, "closed loop")["Hopper-v5, target 1800, actions"]
    assert check.verdict == verdict(report) == "failed"
    assert "seed 0: off by 1.0e-03" in check.detail
    report = replace(good, closed_loop=replace(good.closed_loop, forced_bound=None))
    check = of(report, "closed loop")["Hopper-v5, target 1800, actions"]
    assert check.verdict == "skipped" and check.message.startswith("not judged: worst error")
