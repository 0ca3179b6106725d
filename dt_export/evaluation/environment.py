"""Environments by name: of Gymnasium, or made by a function of yours."""

import importlib
import inspect
import re
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

from dt_export.errors import UsageError
from dt_export.process.terminal import one_line

VERSION = re.compile(r"-v[0-9]+$")  # of the names that Gymnasium registers


def make_environment(
    typed: str | None, stated: str | None = None, *, render_mode: str | None = None
) -> Any:
    """An environment by name.

    ``Name-v0`` is one of Gymnasium's. For ``module:Name-v0`` the module is imported first, which
    registers the environment. ``module:callable`` imports the module and calls the function or
    class without arguments; what it returns needs ``reset`` and ``step`` as in Gymnasium.

    Args:
        typed: the name that the user typed.
        stated: the name in a file, used if the user typed none. A module that only a file names is
            never imported, since it may do anything.
        render_mode: how it should render, if at all.

    Raises:
        UsageError: gymnasium is missing, no name is given, the name is unknown or would import a
            module that only a file names, or the environment cannot be made.
    """
    name = name_of(typed, stated)
    if typed is None and ":" in name:
        raise UsageError(
            f"the file names the environment {one_line(name)}, which would import the module "
            f"{one_line(name.partition(':')[0])}: if you trust it, pass it with --env"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice on newer versions of an environment
            mode: dict[str, Any] = {} if render_mode is None else {"render_mode": render_mode}
            return _called(name, mode) if ":" in name else _registered(name, mode)
    except UsageError:
        raise
    except ImportError as error:
        what = one_line(f"--env {name}: a package that it needs is not installed ({error})")
        raise UsageError(f"{what}: `pip install 'dt-export[gym]'`") from None
    except (Exception, SystemExit) as error:  # its own code, or arguments that it would need
        what = f"--env {name} cannot be made: {type(error).__name__}: {error}"
        raise UsageError(one_line(what)) from error


def name_of(typed: str | None, stated: str | None = None) -> str:
    """The name that counts.

    Raises:
        UsageError: there is none.
    """
    name = typed or stated
    if name is None:
        raise UsageError("--env is missing, and the contract names no environment")
    return name


def _registered(name: str, mode: dict[str, Any]) -> Any:
    """An environment of Gymnasium's, or one that a module has registered."""
    try:
        import gymnasium
    except ImportError:
        raise UsageError(
            one_line(f"--env {name} needs gymnasium") + ": `pip install 'dt-export[gym]'`"
        ) from None
    try:
        return gymnasium.make(name, **mode)
    except gymnasium.error.Error as error:
        raise UsageError(one_line(f"--env {name}: {error}")) from None


def _called(name: str, mode: dict[str, Any]) -> Any:
    """The environment that ``module:callable`` makes, or that ``module:Name`` has registered."""
    place, _, attribute = name.partition(":")
    module = _imported(name, place)
    make: Any = module
    for part in attribute.split("."):
        make = getattr(make, part, None)
    if VERSION.search(attribute) or _is_registered(attribute):
        return _registered(name, mode)
    if not callable(make):
        what = f"the module {place} has neither a function {attribute} nor a registered environment"
        raise UsageError(one_line(f"--env {name}: {what} of that name"))
    environment = make(**_taken(make, mode))
    missing = [part for part in ("reset", "step") if not hasattr(environment, part)]
    if missing:
        raise UsageError(
            one_line(
                f"--env {name} gives {type(environment).__name__}, which has no {missing[0]}: "
                "expected an environment, as Gymnasium's are"
            )
        )
    return environment


def _taken(make: Any, mode: dict[str, Any]) -> dict[str, Any]:
    """The keywords that a callable takes: it need not know how to render."""
    try:
        known = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):  # written in C
        return {}
    any_name = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known)
    names = {parameter.name for parameter in known}
    return {name: value for name, value in mode.items() if any_name or name in names}


def _imported(name: str, place: str) -> ModuleType:
    """The module; one in the current folder is found too, after all others."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    try:
        return importlib.import_module(place)
    except ImportError as error:
        if place.partition(".")[0] in sys.modules:
            raise
        what = f"--env {name}: the module {place} cannot be imported: {error}"
        raise UsageError(one_line(what)) from None


def _is_registered(name: str) -> bool:
    gymnasium: Any = sys.modules.get("gymnasium")
    return gymnasium is not None and name in gymnasium.registry
