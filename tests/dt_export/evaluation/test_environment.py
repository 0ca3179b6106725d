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


@pytest.mark.parametrize(
    ("name", "kind"),
    (("robot", "Robot"), ("Robot", "Robot"), ("Other", "Other"), ("Robot.state", None)),
)
def test_a_callable_of_a_module_makes_an_environment(name, kind):
    """A function or a class; what has no such thing may still be registered with Gymnasium."""
    if kind is None:
        with pytest.raises(UsageError, match="environments_made_here:Robot"):
            make_environment(f"environments_made_here:{name}")
    else:
        assert type(make_environment(f"environments_made_here:{name}")).__name__ == kind


@pytest.mark.parametrize(
    ("name", "words"),
    (
        ("nothing", "gives int, which has no reset: expected an environment"),
        ("not_callable", "neither a function not_callable nor a registered environment"),
        ("robott", "neither a function robott nor a registered environment"),
    ),
)
def test_callables_that_make_no_environment(name, words):
    with pytest.raises(UsageError, match=words):
        make_environment(f"environments_made_here:{name}")


def test_a_module_in_the_current_folder_is_found_after_all_others(tmp_path, monkeypatch):
    (tmp_path / "robots_here.py").write_text("from environments_made_here import Robot as make\n")
    (tmp_path / "json.py").write_text("raise RuntimeError\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    assert make_environment("robots_here:make").action_space.shape == (2,)
    monkeypatch.delitem(sys.modules, "robots_here")
    with pytest.raises(UsageError, match="neither a function make nor"):
        make_environment("json:make")


def test_a_registered_name_of_a_module_goes_to_gymnasium(tmp_path, monkeypatch):
    (tmp_path / "registers_here.py").write_text(
        "import gymnasium\n"
        "from environments_made_here import Robot\n"
        "gymnasium.register('Here-v0', Robot, max_episode_steps=3)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert make_environment("registers_here:Here-v0").spec.id == "Here-v0"
    del sys.modules["registers_here"]


def test_a_callable_that_only_a_file_names_is_not_called():
    with pytest.raises(UsageError, match="would import the module environments_made_here"):
        make_environment(None, "environments_made_here:robot")


def test_a_named_environment():
    environment = make_environment("CartPole-v1")
    assert environment.spec.id == "CartPole-v1"
    environment.close()
