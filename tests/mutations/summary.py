"""The kill rate at the end of a run, also of mutants that other processes judged."""

from collections import Counter
from typing import Any

PROPERTY = "mutation"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [r for found in terminalreporter.stats.values() for r in found]
    judged = [
        value
        for report in reports
        if getattr(report, "when", "") == "call"
        for key, value in report.user_properties
        if key == PROPERTY
    ]
    if judged:
        terminalreporter.section("mutations")
        for line in lines(judged):
            terminalreporter.write_line(line)


def lines(judged: list[tuple[str, str, str, bool]]) -> list[str]:
    """Of (name, kind, why it may survive, whether it was rejected): the rate, then survivors."""
    due = [one for one in judged if not one[2]]
    killed = [one for one in due if one[3]]
    kinds = Counter(kind for _, kind, _, _ in due)
    rejected = Counter(kind for _, kind, _, _ in killed)
    by_kind = ", ".join(f"{kind} {rejected[kind]}/{count}" for kind, count in sorted(kinds.items()))
    rate = 100 * len(killed) / len(due) if due else 100.0
    found = [f"mutations: {len(killed)} of {len(due)} rejected ({rate:.3g} %); by fault: {by_kind}"]
    found += [f"survived: {name}" for name, _, _, rejected in sorted(due) if not rejected]
    found += [f"cannot be rejected: {name}: {why}" for name, _, why, _ in sorted(judged) if why]
    return found
