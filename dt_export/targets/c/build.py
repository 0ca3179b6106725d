"""The machine's C compiler, which makes libraries and programs of what the target writes."""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from dt_export.errors import UsageError

LIBRARY = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
_PREFIX = re.compile(r"^static const char (\w+)_contract_text", re.M)


def shared_library(source: Path, output: Path, flags: Sequence[str] = ()) -> None:
    """Compile a source for this processor, with its functions exported.

    Raises:
        UsageError: there is no compiler, or it refuses the source.
    """
    found = _PREFIX.search(source.read_text(encoding="utf-8"))
    exported = [] if found is None else [f"-D{found[1].upper()}_SHARED"]
    _compile([source], output, ["-shared", "-fPIC", "-fvisibility=hidden", *exported, *flags])


def program(sources: Sequence[Path], output: Path, flags: Sequence[str] = ()) -> None:
    """Compile sources to a program for this processor.

    Raises:
        UsageError: there is no compiler, or it refuses a source.
    """
    _compile(sources, output, flags)


def _compile(sources: Sequence[Path], output: Path, flags: Sequence[str]) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        raise UsageError("there is no C compiler: install one that is called as `cc`")
    usual = [] if any(flag.startswith("-march") for flag in flags) else ["-march=native"]
    command = [compiler, "-O2", *usual, *flags, *map(str, sources), "-o", str(output), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if "error" in line] or [done.stderr]
        raise UsageError(f"{sources[0]}: the compiler refuses it: {said[0].strip()}")
