"""The table of mutants in docs/mutations.md: ``python -m mutations.page`` in tests/ writes it."""

import sys
from collections import Counter
from itertools import groupby
from pathlib import Path

from mutations.catalogue import MUTANTS
from mutations.mutant import Mutant

PAGE = Path(__file__).parents[2] / "docs" / "mutations.md"
BEGIN, END = "<!-- mutants: begin -->\n", "<!-- mutants: end -->\n"


def table() -> str:
    """Every mutant by what it is made of, and the kinds of fault that a message may name."""
    due = [mutant for mutant in MUTANTS if mutant.survives is None]
    kinds = Counter(mutant.kinds[0] for mutant in due)
    counts = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
    parts = [f"{len(due)} mutants are rejected, every one of them. By kind: {counts}.\n"]
    parts += ["\n| artifact | what is broken | the message points at |\n| --- | --- | --- |\n"]
    for good, mutants in groupby(sorted(due, key=_order), key=lambda mutant: str(mutant.good)):
        for at, mutant in enumerate(mutants):
            parts.append(
                f"| {'' if at else good} | {mutant.name} | {' or '.join(mutant.kinds)} |\n"
            )
    parts += ["\nThese cannot be rejected:\n\n"]
    parts += [f"- {m.name} ({m.good}): {m.survives}.\n" for m in MUTANTS if m.survives is not None]
    return "".join(parts)


def _order(mutant: Mutant) -> str:
    return str(mutant.good)


def written(page: str) -> str:
    """The page with the table in it."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
