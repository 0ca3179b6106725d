"""The page of the dialects: apart from the other pages, so that both run at the same time."""

from pages import DIALECTS_PAGE, PAGES, blocks

from dt_export.checkpoints import DIALECTS


def test_what_the_page_shows_runs(reader, monkeypatch, capsys):
    monkeypatch.chdir(reader.folder)
    reader.run_page(DIALECTS_PAGE, capsys)


def test_every_dialect_has_a_section_with_its_command(reader, monkeypatch, capsys):
    """And the command that the export prints next sees the checkpoint as the export did."""
    monkeypatch.chdir(reader.folder)
    sections = PAGES[DIALECTS_PAGE].read_text(encoding="utf-8").split("\n## ")
    commands = {
        section.split("\n", 1)[0]: [c for block in blocks(section) for c in block.commands]
        for section in sections
    }
    for dialect in DIALECTS:
        (command,) = commands[dialect]
        out = reader.run(command, capsys)
        assert "equal to eager PyTorch" in out
        assert f"  {dialect}, " in out
        assert "warning" not in out
        (following,) = (
            line.removeprefix("  dt-export ")
            for line in out.splitlines()
            if line.startswith("  dt-export validate ")
        )
        reader.run(following, capsys)
