"""``dt-export inspect``."""

from typing import Annotated

from dt_export.cli.options import Artifact
from dt_export.cli.parameters import option
from dt_export.process import terminal


def inspect(
    artifact: Artifact,
    json: Annotated[
        bool,
        option(
            "--json",
            help="Print the contract as JSON. Save it next to the file for JavaScript, where "
            "ONNX Runtime does not show a file's metadata.",
        ),
    ] = False,
) -> None:
    """Show an artifact's contract, inputs, outputs, operators and size."""
    from dt_export.cli import show
    from dt_export.targets import inspect

    contract, operators, note = inspect(artifact)
    if json:
        print(contract.to_json())
    else:
        terminal.console().print(show.contract(contract, artifact, operators, note))
