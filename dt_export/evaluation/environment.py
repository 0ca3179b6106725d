"""Gymnasium environments by name."""

import sys
import warnings
from typing import Any

from dt_export.errors import UsageError
from dt_export.process.terminal import one_line


def make_environment(
    typed: str | None, stated: str | None = None, *, render_mode: str | None = None
) -> Any:
    """A Gymnasium environment by name.

    Args:
        typed: the name that the user typed. For ``module:Name-v0`` the module is imported.
        stated: the name in a file, used if the user typed none. A module that only a file names is
            never imported, since it may do anything.
        render_mode: how it should render, if at all.

    Raises:
        UsageError: gymnasium is missing, no name is given, the name is unknown or would import a
            module that only a file names, or the environment cannot be made.
    """
    name = typed or stated
    if name is None:
        raise UsageError("--env is missing, and the contract names no environment")
    if typed is None and ":" in name:
        raise UsageError(
            f"the file names the environment {one_line(name)}, which would import the module "
            f"{one_line(name.partition(':')[0])}: if you trust it, pass it with --env"
        )
    try:
        import gymnasium
    except ImportError:
        raise UsageError(
            "`dt-export run` needs gymnasium: `pip install 'dt-export[gym]'`"
        ) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice on newer versions of an environment
            mode: dict[str, Any] = {} if render_mode is None else {"render_mode": render_mode}
            return gymnasium.make(name, **mode)
    except gymnasium.error.Error as error:
        raise UsageError(one_line(f"--env {name}: {error}")) from None
    except ImportError as error:
        module = name.partition(":")[0]
        if ":" in name and module.partition(".")[0] not in sys.modules:
            what = f"--env {name}: the module {module} cannot be imported: {error}"
            raise UsageError(one_line(what)) from None
        what = one_line(f"--env {name}: a package that it needs is not installed ({error})")
        raise UsageError(f"{what}: `pip install 'dt-export[gym]'`") from None
    except (Exception, SystemExit) as error:  # its own code, or arguments that it would need
        what = f"--env {name} cannot be made: {type(error).__name__}: {error}"
        raise UsageError(one_line(what)) from error
