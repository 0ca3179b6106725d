"""Environments by name: messages stay on one line, whatever a name or an error holds."""

import sys

import pytest

from dt_export.errors import UsageError
from dt_export.evaluation.environment import make_environment

HOSTILE = "Ev\nil-v0\x1b[31m"


@pytest.mark.parametrize(
    ("typed", "stated", "words"),
    (
        (None, None, "--env is missing"),
        (HOSTILE, None, r"--env Ev\nil-v0\x1b[31m"),
        (None, HOSTILE, r"--env Ev\nil-v0\x1b[31m"),
        (None, f"os:{HOSTILE}", r"the file names the environment os:Ev\nil-v0\x1b[31m,"),
        ("Hoper-v5", None, "--env Hoper-v5"),
    ),
)
def test_names_that_cannot_be_made(typed, stated, words):
    with pytest.raises(UsageError) as caught:
        make_environment(typed, stated)
    message = str(caught.value)
    assert words in message and "\n" not in message and "\x1b" not in message


def test_an_environment_whose_own_code_fails(tmp_path, monkeypatch):
    (tmp_path / "hostile_env.py").write_text("raise RuntimeError('two\\nlines\\x1b[31m')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError) as caught:
        make_environment("hostile_env:Env-v0")
    sys.modules.pop("hostile_env", None)
    assert r"cannot be made: RuntimeError: two\nlines\x1b[31m" in str(caught.value)


@pytest.mark.parametrize("module", ("no_such_module", "no_such.module"))
def test_a_module_that_is_not_there(module):
    """Not a package that dt-export could bring: no hint to install one."""
    with pytest.raises(UsageError, match=f"the module {module} cannot be imported: ") as caught:
        make_environment(f"{module}:Env-v0")
    assert "pip install" not in str(caught.value)


def test_a_named_environment():
    environment = make_environment("CartPole-v1")
    assert environment.spec.id == "CartPole-v1"
    environment.close()
