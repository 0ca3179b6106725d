"""``dt-export c``."""

from dt_export.cli.export import run_export
from dt_export.cli.options import Force, Model, Output
from dt_export.cli.parameters import with_tables
from dt_export.facts import Overrides
from dt_export.options import COptions


@with_tables
def c(
    model: Model = "hopper",
    output: Output = None,
    *,
    options: COptions,
    force: Force = False,
    overrides: Overrides,
) -> None:
    """Export to one C file with a header, compile it here, and prove it equal to eager PyTorch.

    Example: `dt-export c --model hopper`
    """
    run_export("c", model, output, options, overrides, force)
