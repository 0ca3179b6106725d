"""README.md stays short and in the order in which a newcomer needs it."""

import re
from itertools import pairwise

from pages import PAGES, ROOT

README = PAGES["README.md"].read_text(encoding="utf-8")
ORDER = (
    "<picture>",
    "## Install",
    "## Quick start",
    "## Your own checkpoint",
    "## Python",
    "## A fast control loop",
    "## Prove it",
    "## Documentation",
)


def test_it_is_short():
    assert len(README.splitlines()) < 200


def test_the_order_of_a_newcomer():
    assert all(README.index(a) < README.index(b) for a, b in pairwise(ORDER))


def test_it_links_to_every_page():
    pages = {page for page in PAGES if page.startswith("docs/")} - {"docs/index.md"}
    assert pages <= set(re.findall(r"\]\((docs/[\w-]+\.md)\)", README))


def test_its_install_lines_are_those_that_ci_runs():
    steps = (path.read_text(encoding="utf-8") for path in (ROOT / ".ci").glob("*.sh"))
    lines = [line for step in steps for line in re.findall(r'^readme "(.*)"$', step, re.M)]
    assert len(lines) == 2
    assert set(lines) <= set(README.splitlines())
