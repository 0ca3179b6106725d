"""Many cases, one verdict: every kind of finding once, with its smallest input kept."""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from fuzz.cases import Case, save
from fuzz.worker import GOOD, Outcome, Worker

SEED = int(os.environ.get("FUZZ_SEED", "0"))  # of the long profile; 0: a fresh one every time
FOLDER = Path(os.environ.get("FUZZ_FINDINGS", Path(tempfile.gettempdir(), "dt-export-findings")))
HANGS = 8  # after so many the rest is not worth waiting for


@dataclass
class Tally:
    """Counts of a test, and its findings by kind."""

    name: str
    seed: int
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: dict[tuple[str, str, str], tuple[int, Case, Outcome]] = field(default_factory=dict)

    def add(self, case: Case, outcome: Outcome) -> None:
        named = f" {outcome.what}" if outcome.kind == "refused" else ""
        self.outcomes[outcome.kind + named] += 1
        if not outcome.finding:
            return
        key = (outcome.kind, outcome.what, case.surface)
        count, kept, told = self.findings.get(key, (0, case, outcome))
        smaller = case.size < kept.size
        self.findings[key] = (count + 1, *((case, outcome) if smaller else (kept, told)))

    @property
    def line(self) -> str:
        counted = ", ".join(f"{count} {kind}" for kind, count in self.outcomes.most_common())
        return f"{self.name} (seed {self.seed}): {self.outcomes.total()} inputs: {counted}"

    @property
    def bad(self) -> int:
        kinds = self.outcomes.items()
        return sum(count for kind, count in kinds if kind.split()[0] not in GOOD)


def run(worker: Worker, tally: Tally, cases: Iterable[Case]) -> None:
    """Run cases until there are no more, or until too many of them hung."""
    for case in cases:
        tally.add(case, worker.run(case))
        if tally.outcomes["hung"] >= HANGS:
            break


def settle(tally: Tally, record: Callable[[str, object], None]) -> None:
    """Tell the counts, keep what was found, and fail if anything was."""
    record("fuzz", tally.line)
    if not tally.findings:
        return
    lines = [tally.line, f"{len(tally.findings)} kinds of findings:"]
    ranked = sorted(tally.findings.items(), key=lambda item: -item[1][0])
    for number, ((kind, what, surface), (count, case, outcome)) in enumerate(ranked):
        kept = save(replace(case, label=f"{case.label} ({outcome.kind})"),
                    FOLDER / f"{tally.name}-{tally.seed}-{number}")  # fmt: skip
        last = outcome.detail.strip().splitlines()[-1:] or [""]
        lines += [
            f"  {count} x {kind}: {what} [{surface}]",
            f"      {case.label}",
            f"      {last[0][:200]}",
            f"      python tests/fuzz/repeat.py {kept}",
        ]
    pytest.fail("\n".join(lines), pytrace=False)
