"""The command line: the Typer app, and what becomes of errors. Commands import what is heavy."""

import os
import sys
import traceback
from contextlib import suppress
from contextvars import ContextVar
from typing import Annotated, Any

import typer

from dt_export.cli.bench import bench
from dt_export.cli.c import c
from dt_export.cli.doctor import doctor
from dt_export.cli.golden import golden
from dt_export.cli.inspect import inspect
from dt_export.cli.models import models
from dt_export.cli.onnx import onnx
from dt_export.cli.run import run
from dt_export.cli.torchscript import torchscript
from dt_export.cli.validate import validate
from dt_export.errors import CheckError, UsageError
from dt_export.process import command, interrupts, terminal
from dt_export.version import __version__

COMMANDS = (onnx, torchscript, c, validate, golden, run, bench, inspect, models, doctor)

app = typer.Typer(
    name="dt-export",
    help="Export Decision Transformers, prove them equal to PyTorch, and run them.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for verb in COMMANDS:
    app.command()(verb)

# What Typer raises for an unknown flag and the like. Its version decides which package has it.
WrongUsage: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)
COMPLETION = "_DT_EXPORT_COMPLETE"  # in the environment while a shell completes a command
BROKEN_PIPE = 141  # what shells make of SIGPIPE

with_traceback: ContextVar[bool] = ContextVar("with_traceback", default=False)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    traceback: Annotated[bool, typer.Option("--traceback", hidden=True)] = False,
) -> None:
    with_traceback.set(traceback)  # for a user's mistakes too
    if version:
        print(f"dt-export {__version__}")
        raise typer.Exit


def main(args: list[str] | None = None) -> None:
    """Run the app. A user's mistake becomes one message and an exit code, and so does a full disk.

    Anything else that is raised is a bug of ours and shows its traceback.
    """
    command.typed.set(tuple(sys.argv[1:] if args is None else args))
    with interrupts.reported(), terminal.any_encoding():
        sys.exit(_exit_code(args))


def _exit_code(args: list[str] | None) -> int:
    with_traceback.set(False)
    try:
        code = app(args=args, prog_name="dt-export", standalone_mode=False)
        terminal.flush()
        return code or 0
    except UsageError as error:
        return _say(error, "error", str(error), 2)
    except CheckError as error:
        return _say(error, "failed", str(error), 1)
    except WrongUsage as error:
        return _say(error, "error", _message(error), 2, _how_to(error))
    except SystemExit as done:
        # A broken pipe: Rich and Typer leave with 1 then, which means a failed check here.
        piped = isinstance(done.__context__, OSError)
        if done.code != 1 or not piped or COMPLETION in os.environ:
            raise
        return _broken_pipe()
    except BrokenPipeError:
        return _broken_pipe()
    except OSError as error:
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        what = ": ".join([*names, error.strerror or str(error) or type(error).__name__])
        code = _say(error, "error", what, 2)
        with suppress(OSError, ValueError):
            terminal.flush()
            return code
        terminal.give_up()  # it was the output itself that could not be written
        return code


def _broken_pipe() -> int:
    """The reader has gone: there is nobody to tell."""
    terminal.give_up()
    return BROKEN_PIPE


def _say(error: Exception, kind: str, message: str, code: int, how_to: str = "") -> int:
    """Print a message, after the traceback if the user asked for it, and return the exit code."""
    interrupts.check()  # libraries turn Ctrl-C in the middle of an import into an ImportError
    from rich.text import Text

    stderr = terminal.console(stderr=True, soft_wrap=True)
    with suppress(OSError):
        if with_traceback.get():
            stderr.print("".join(traceback.format_exception(_whole(error))))
        if how_to:
            stderr.print(how_to)
        style = "bold red"
        stderr.print(Text.assemble((f"{kind}:", style), " ", terminal.printable(message)))
    return code


def _whole(error: BaseException) -> BaseException:
    """The error with the causes that ``raise ... from None`` hides."""
    at: BaseException | None = error
    while at is not None:
        at.__suppress_context__ = at.__cause__ is not None
        at = at.__cause__ or at.__context__
    return error


def _message(error: Any) -> str:
    """What Typer has to say, without its usage."""
    return str(error.format_message()).replace(": Value error, ", ": ")


def _how_to(error: Any) -> str:
    """How to call the command."""
    if getattr(error, "ctx", None) is None:
        return ""
    return f"{error.ctx.get_usage()}\nTry '{error.ctx.command_path} --help' for help."
