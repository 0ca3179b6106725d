"""Prints the lowest version of each dependency that the two pyproject.toml files allow, as pins."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXTRAS = ("cpu", "gym", "report", "record")
OURS = ("dt-runtime",)


def pins() -> dict[str, str]:
    found = {}
    for path in (ROOT / "pyproject.toml", ROOT / "runtimes" / "python" / "pyproject.toml"):
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        wanted = list(project["dependencies"])
        for extra in EXTRAS:
            wanted += project.get("optional-dependencies", {}).get(extra, [])
        for requirement in wanted:
            match = re.fullmatch(r"([\w-]+)(\[\w+\])?>=([\d.]+)", requirement)
            if match is None:
                raise SystemExit(f"{path}: {requirement!r} has no lowest version")
            name, extra, version = match.groups()
            if name not in OURS:
                found[name] = f"{name}{extra or ''}=={version}"
    (torch,) = re.findall(r"^torch==.*$", (ROOT / "constraints.txt").read_text("utf-8"), re.M)
    return found | {"torch": torch}


print("\n".join(sorted(pins().values())))
