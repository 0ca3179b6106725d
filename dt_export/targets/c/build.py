"""A C compiler, which makes libraries and programs of what the target writes."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from dt_export.errors import UsageError

LIBRARY = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
ZIG = (sys.executable, "-m", "ziglang", "cc")  # the compiler in a wheel: pip install dt-export[c]
_FAULT = re.compile("error:|undefined reference")  # in what compilers and linkers print
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


def compiler() -> list[str]:
    """The command of a C compiler: ``$CC``, or ``cc``, or the one in the ``ziglang`` wheel.

    Raises:
        UsageError: there is none of these.
    """
    if told := shlex.split(os.environ.get("CC", "")):
        if shutil.which(told[0]) is None:
            raise UsageError(
                f"CC is {told[0]!r}, and there is no such program: install it or unset CC"
            )
        return told
    if usual := shutil.which("cc"):
        return [usual]
    if find_spec("ziglang") is not None:
        return list(ZIG)
    raise UsageError(
        "there is no C compiler: install one that is called as `cc`, or name yours in the "
        "environment variable CC, or `pip install 'dt-export[c]'`"
    )


def _compile(sources: Sequence[Path], output: Path, flags: Sequence[str]) -> None:
    tuned = any(flag.startswith(("-march", "-mcpu", "-target")) for flag in flags)
    usual = [] if tuned else ["-march=native"]
    files = [*map(str, sources), "-o", str(output), "-lm"]
    command = [*compiler(), "-O2", *usual, *flags, *files]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if _FAULT.search(line)]
        said = said or done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise UsageError(f"{sources[0]}: {command[0]} refuses it: {said[0].strip()}")
