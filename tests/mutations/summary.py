"""The kill rate at the end of a run, also of mutants that other processes judged."""

from collections import Counter
from typing import Any

PROPERTY = "mutation"
NEAREST = "nearest"  # how near to its bounds a right artifact comes


def pytest_terminal_summary(terminalreporter: Any) -> None:
    judged, right = _found(terminalreporter, PROPERTY), _found(terminalreporter, NEAREST)
    if judged or right:
        terminalreporter.section("mutations")
    for line in [*(lines(judged) if judged else []), *nearest(right)]:
        terminalreporter.write_line(line)


def _found(terminalreporter: Any, name: str) -> list[Any]:
    """What tests recorded under this name."""
    reports = [r for found in terminalreporter.stats.values() for r in found]
    called = [r for r in reports if getattr(r, "when", "") == "call"]
    return [value for report in called for key, value in report.user_properties if key == name]


def nearest(right: list[tuple[str, int, int, float, float]]) -> list[str]:
    """Of (artifact, seeds, failures, worst error and worst mean, as parts of what is allowed)."""
    if not right:
        return []
    runs, failed = sum(r[1] for r in right), sum(r[2] for r in right)
    found = [f"right artifacts: {failed} of {runs} runs failed; errors as parts of their bounds:"]
    for name, _, failures, worst, mean in sorted(right, key=lambda r: -max(r[3:])):
        note = f", {failures} failed" if failures else ""
        found.append(f"  {name}: worst {worst:.2f}, root mean square {mean:.2f}{note}")
    return found


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
