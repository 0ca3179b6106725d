"""JSON and YAML: plain mappings, of a size that a person could have written."""

import json
from pathlib import Path
from typing import Any

import yaml

from dt_export.checkpoints.reading.damage import check_file, damaged
from dt_export.errors import CheckpointError

LARGEST = 16 * 2**20  # bytes of JSON; statistics of a stack of frames take less
LARGEST_YAML = 64 * 2**10  # bytes; its parser takes seconds a megabyte


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        CheckpointError: not to be read, not JSON, or something else than an object.
    """
    check_file(path, LARGEST)
    with damaged(path, "cannot be read as JSON"):
        document = json.loads(path.read_text(encoding="utf-8"))
    return _mapping(path, document, "a JSON object")


def read_yaml(path: Path) -> dict[str, Any]:
    """Plain YAML: tags that would make Python objects are refused, and so are aliases.

    Raises:
        CheckpointError: not to be read, not plain YAML, or something else than a mapping.
    """
    check_file(path, LARGEST_YAML)
    with damaged(path, "cannot be read as plain YAML"):
        document = yaml.load(path.read_text(encoding="utf-8"), _Plain)
    return _mapping(path, document, "a YAML mapping")


class _Plain(yaml.SafeLoader):
    """Without aliases: a few lines of them can stand for a billion values."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]  # in types-PyYAML
            raise yaml.composer.ComposerError(
                None, None, f"*{event.anchor} is an alias: write the value in its place"
            )
        return super().compose_node(parent, index)


def _mapping(path: Path, document: Any, expected: str) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise CheckpointError(f"{path} holds {type(document).__name__}, expected {expected}")
    return document
