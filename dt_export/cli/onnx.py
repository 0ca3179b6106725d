"""``dt-export onnx``."""

from dt_export.cli.export import run_export
from dt_export.cli.options import Force, Model, Output
from dt_export.cli.parameters import with_tables
from dt_export.facts import Overrides
from dt_export.options import OnnxOptions


@with_tables
def onnx(
    model: Model = "hopper",
    output: Output = None,
    *,
    options: OnnxOptions,
    force: Force = False,
    overrides: Overrides,
) -> None:
    """Export to ONNX and prove the file equal to eager PyTorch.

    Example: `dt-export onnx --model hopper`
    """
    run_export("onnx", model, output, options, overrides, force)
