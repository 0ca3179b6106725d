"""Every command and every piece of Python in README.md and docs/ runs."""

import subprocess
import sys

import pytest
from pages import ARCHITECTURE_PAGE, DIALECTS_PAGE, PAGES, ROOT, blocks

from dt_export.recording.offscreen import INSTALL, choose_renderer

ELSEWHERE = {
    DIALECTS_PAGE,
    ARCHITECTURE_PAGE,
    "docs/environments.md",
    "docs/from-c.md",
}  # pages with tests of their own
RENDERS = pytest.mark.skipif(choose_renderer() is None, reason=INSTALL)
EPISODES = ("docs/closed-loop.md", "docs/recording.md", "docs/validate-in-ci.md")
MARKS = dict.fromkeys(EPISODES, (pytest.mark.gate,)) | {
    "docs/recording.md": (pytest.mark.gate, RENDERS)
}
READ = [pytest.param(page, marks=MARKS.get(page, ())) for page in sorted(PAGES.keys() - ELSEWHERE)]


@pytest.mark.parametrize("page", READ)
def test_what_a_page_shows_runs(page, reader, monkeypatch, capsys):
    monkeypatch.chdir(reader.folder)
    reader.run_page(page, capsys)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_stands_in_a_block_that_is_run(page):
    """A block without a language would be skipped in silence."""
    text = PAGES[page].read_text(encoding="utf-8")
    for block in blocks(text):
        assert block.language in ("sh", "python") or not block.commands, block.code


@pytest.mark.parametrize("tool", ["what_works", "draw_pictures"])
def test_what_is_generated_is_up_to_date(tool):
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / f"{tool}.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
