"""Templates filled in: everything is escaped, and the page may load nothing."""

import base64
import hashlib
from importlib.resources import files
from typing import Any

from dt_export.files.ours import PRODUCER

# The words that tables colour.
WORDS = {"passed": "good", "failed": "bad", "undecided": "open", "skipped": "note"}


def rendered(template: str, **content: Any) -> str:
    """A page. The same content gives the same bytes."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("dt_export.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment.globals |= {
        "producer": PRODUCER,
        "style": _Safe(style),
        "style_hash": f"sha256-{digest}",
        "words": WORDS,
    }
    return environment.get_template(template).render(**content)


class _Safe(str):
    """Text that is our own, and goes into a page as it is."""

    def __html__(self) -> str:
        return self


def _style() -> str:
    text = files("dt_export.html").joinpath("templates", "style.css").read_text(encoding="utf-8")
    return text.replace("\r\n", "\n")
