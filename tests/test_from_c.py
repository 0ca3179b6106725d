"""The programs on the page "From C" compile and run as the page says."""

import re
import shutil
import subprocess

import pytest
from pages import PAGES, blocks

PAGE = "docs/from-c.md"


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no cc")
def test_the_programs_of_the_page_run(reader, monkeypatch, capsys):
    monkeypatch.chdir(reader.folder)
    page = blocks(PAGES[PAGE].read_text(encoding="utf-8"))
    ran = 0
    for block in page:
        if block.language == "c" and block.code.startswith("/* main.c */"):
            reader.folder.joinpath("main.c").write_text(block.code)
        if block.language == "sh" and block.run:
            for command in block.commands:
                reader.run(command, capsys)
            for command in re.findall(r"^(?:cc|\./).*$", block.code, re.M):
                done = subprocess.run(command.split(), capture_output=True, text=True)
                assert done.returncode == 0, command + done.stdout + done.stderr
                ran += 1
    assert ran == 4
