"""Options and arguments that several commands have, each written once."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from dt_export.checkpoints.presets import PRESETS
from dt_export.cli.parameters import Without, option
from dt_export.facts import CHOSEN, Overrides

MOST_THREADS = max(64, 4 * (os.cpu_count() or 1))
MOST_STEPS = 1_000_000
LAST_SEED = 2**32 - 1


def complete_model(incomplete: str) -> list[str]:
    return [name for name in PRESETS if name.startswith(incomplete)]


Artifact = Annotated[Path, typer.Argument(help="An exported file.", show_default=False)]
Model = Annotated[
    str,
    option(
        "--model",
        "-m",
        help="A preset (see `models`), a local directory or file, or a Hugging Face id.",
        autocompletion=complete_model,
    ),
]
Output = Annotated[
    Path | None,
    option("--output", "-o", help="Where to write.  [default: named after the model]"),
]
Provider = Annotated[
    Literal["cpu", "cuda", "tensorrt", "auto"],
    option("--provider", help="Execution provider of ONNX Runtime."),
]
Force = Annotated[bool, option("--force", help="Replace a file that dt-export did not write.")]

# What a command needs to load a checkpoint as it was when the artifact was made.
SameOverrides = Annotated[Overrides, Without(CHOSEN)]
