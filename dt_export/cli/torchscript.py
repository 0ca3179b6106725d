"""``dt-export torchscript``."""

from dt_export.cli.export import run_export
from dt_export.cli.options import Force, Model, Output
from dt_export.cli.parameters import with_tables
from dt_export.facts import Overrides
from dt_export.options import Options


@with_tables
def torchscript(
    model: Model = "hopper",
    output: Output = None,
    *,
    options: Options,
    force: Force = False,
    overrides: Overrides,
) -> None:
    """Export to TorchScript (deprecated by PyTorch) and prove the file equal to eager PyTorch.

    Example: `dt-export torchscript --model hopper`
    """
    run_export("torchscript", model, output, options, overrides, force)
