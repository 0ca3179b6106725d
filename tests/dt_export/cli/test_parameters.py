"""Options made from tables: a command asks for a dataclass and is handed an instance."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from dt_export.cli.app import app as dt_export
from dt_export.cli.parameters import Without, option, with_tables
from dt_export.errors import UsageError
from dt_export.flags import flag


@dataclass(frozen=True)
class Table:
    size: int = flag("--size", 3, help="A size.", low=1, high=9)
    words: tuple[str, ...] = flag("--words", (), help="Words.")
    names: tuple[str, ...] | None = flag("--names", help="Names.")
    colour: str = flag("--colour", "red", help="A colour.", choices=("red", "blue"))
    loud: bool | None = flag("--loud/--no-loud", help="Loudness.", panel="Sound")
    quick: bool = flag("--quick", False, help="Haste.")
    inside: int = 7


def called(*typed, hidden=()):
    """What a command with the table gets for these words."""
    seen = []
    app = typer.Typer()
    Shown = Annotated[Table, Without(hidden)]  # noqa: N806 - a type

    @with_tables
    def command(
        file: str, *, table: Shown, count: Annotated[int, option("--count", help="", low=0)] = 1
    ) -> None:
        """Do it."""
        seen.append((file, table, count))

    app.command()(command)
    done = CliRunner().invoke(app, ["f", *typed])
    if isinstance(done.exception, UsageError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return seen[0]


def test_defaults():
    assert called() == ("f", Table(), 1)


def test_everything_typed():
    typed = ("--size", "4", "--words", "a,b,", "--names", ",x", "--colour", "blue")
    switches = ("--no-loud", "--quick", "--count", "2")
    expected = Table(4, ("a", "b"), ("x",), "blue", False, True)
    assert called(*typed, *switches) == ("f", expected, 2)


def test_a_list_that_is_typed_empty_is_empty():
    assert called("--names", ",")[1].names == ()


@pytest.mark.parametrize(("name", "value"), (("--size", 10), ("--count", -1)))
def test_bounds(name, value):
    with pytest.raises(UsageError, match=f"{name} is {value}, expected"):
        called(name, str(value))


def test_fields_that_a_command_does_not_offer():
    assert called("--quick", hidden=("size", "loud"))[1] == Table(quick=True)
    with pytest.raises(AssertionError, match="No such option"):
        called("--size", "4", hidden=("size",))


def options(name):
    group = typer.main.get_command(dt_export)
    return {flag for p in group.commands[name].params for flag in (*p.opts, *p.secondary_opts)}


def test_targets_share_their_options():
    only_onnx = {"--opset", "--precision", "--format", "--episodes"}
    assert options("onnx") - options("torchscript") == only_onnx
    assert options("torchscript") < options("onnx")
    only_c = {
        "--precision", "--slots", "--prefix", "--activation-bits", "--weights", "--wasm",
        "--episodes",
    }  # fmt: skip
    assert options("c") - options("torchscript") == only_c
    # Its graph, outputs and batch size are what they are.
    absent = {"--graph", "--outputs", "--sample", "--static-batch"}
    assert options("torchscript") - options("c") == absent


@pytest.mark.parametrize("command", ("bench", "golden"))
def test_what_is_chosen_at_export_is_no_fact_elsewhere(command):
    facts = options("onnx") - options(command)
    assert {"--target-return", "--env"} <= facts
    assert {"--n-head", "--no-returns", "--stats", "--revision"} <= options(command)
