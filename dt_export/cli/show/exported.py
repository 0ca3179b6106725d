"""What was written, and which commands to run next."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from dt_export.cli.show.parity import verdict
from dt_export.cli.show.table import file_size

if TYPE_CHECKING:
    from dt_runtime import Contract

    from dt_export.targets import Artifact
    from dt_export.validation import Report


def exported(
    artifact: Artifact,
    report: Report | None,
    model: str,
    flags: str = "",
    environment: str | None = None,
) -> RenderableType:
    """What was written, and the next commands, ready to paste.

    ``flags`` are those that describe the model; ``environment`` is the one that the user named.
    """
    path, contract = artifact.path, artifact.contract
    lines = [Text.assemble("wrote ", (str(path), "bold"), f"  {file_size(artifact.size)}")]
    lines += [Text(f"and {other}, {what}") for other, what in artifact.companions.items()]
    lines.append(Text("not validated", style="yellow") if report is None else verdict(report))
    file = shell_word(str(path))
    if contract.precision != "fp32":
        flags = f"--precision {contract.precision} {flags}"
    validate = f"dt-export validate {file} --model {shell_word(model)} {flags}".rstrip()
    commands = [validate, f"dt-export inspect {file}"]
    from dt_export.graphs import graph_of
    from dt_export.targets import target_of

    if target_of(path).engine and graph_of(contract).takes_observations:
        commands.insert(0, f"dt-export run {file} --env {_env(contract, environment)}")
    lines.append(Text("next:"))
    lines += [
        Text(f"  {command}", style="cyan", overflow="ignore", no_wrap=True) for command in commands
    ]
    return Group(*lines)


def shell_word(text: str) -> str:
    """A path or name quoted for a shell, so that it is neither expanded nor taken for a flag."""
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def _env(contract: Contract, named: str | None) -> str:
    """What to type after --env: never a module that only a file names: it would be imported."""
    known = contract.environment
    if known is None or (":" in known and known != named):
        return "ENV"
    return shell_word(known)
