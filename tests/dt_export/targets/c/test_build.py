"""Which compiler is taken: $CC, then cc, then the one in the ziglang wheel."""

import shutil
import subprocess
from importlib.util import find_spec

import pytest

from dt_export.errors import UsageError
from dt_export.targets.c import build

PROGRAM = "int main(void) { return ANSWER; }\n"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "program.c"
    path.write_text(PROGRAM)
    return path


@pytest.fixture
def no_cc(tmp_path, monkeypatch):
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    monkeypatch.delenv("CC", raising=False)


@pytest.mark.parametrize("compiler", ("cc", "gcc", "clang"))
def test_cc_in_the_environment_comes_first_with_its_flags(compiler, source, tmp_path, monkeypatch):
    if shutil.which(compiler) is None:
        pytest.skip(f"there is no {compiler}")
    monkeypatch.setenv("CC", f"{compiler} -DANSWER=7")
    build.program([source], tmp_path / "program")
    assert subprocess.run([tmp_path / "program"]).returncode == 7


def test_cc_that_is_no_program_is_an_error(source, tmp_path, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler -O1")
    with pytest.raises(UsageError, match="CC is 'no-such-compiler', and there is no such program"):
        build.program([source], tmp_path / "program")


def test_an_error_of_the_compiler_is_one_line(source, tmp_path):
    with pytest.raises(UsageError) as caught:
        build.program([source], tmp_path / "program")
    assert "refuses it" in str(caught.value) and "ANSWER" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "program").exists()


@pytest.mark.processors
def test_the_compiler_in_the_wheel_takes_over(source, tmp_path, no_cc):
    if find_spec("ziglang") is None:
        pytest.skip("ziglang is not installed")
    build.program([source], tmp_path / "program", ["-DANSWER=7"])
    assert subprocess.run([tmp_path / "program"]).returncode == 7


@pytest.mark.skipif(find_spec("ziglang") is not None, reason="ziglang is installed")
def test_without_any_the_error_says_what_to_install(source, tmp_path, no_cc):
    with pytest.raises(UsageError, match=r"pip install 'dt-export\[c\]'"):
        build.program([source], tmp_path / "program")
