"""Counts of every fuzz test at the end of a run, also of those that other processes ran."""

from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [r for found in terminalreporter.stats.values() for r in found]
    lines = [
        value
        for report in reports
        if getattr(report, "when", "") == "call"
        for key, value in report.user_properties
        if key == "fuzz"
    ]
    if lines:
        terminalreporter.section("fuzzing")
        for line in sorted(lines):
            terminalreporter.write_line(line)
