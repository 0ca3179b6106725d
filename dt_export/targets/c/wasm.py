"""A printed policy as WebAssembly, with a JavaScript module around it: ``--wasm``.

The .wasm imports nothing: the few functions of a C library that the policy calls are compiled with
it, from ``source/wasm/``. It runs in browsers, in Node.js, and in any other engine with SIMD.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from dt_runtime.contract import Contract
from dt_runtime.golden import Golden

from dt_export.errors import CheckError, UsageError
from dt_export.process import interrupts
from dt_export.targets.c.templates import filled, prefixed, template
from dt_export.targets.c.write import titled

WASM, MODULE, TYPES = ".wasm", ".mjs", ".d.mts"
ZIG = (sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-freestanding")
CLANG = ("clang", "--target=wasm32")
FLAGS = (
    "-O2", "-std=c99", "-ffreestanding", "-nostdlib", "-msimd128", "-mbulk-memory",
    "-fno-math-errno", "-ffp-contract=off",
)  # fmt: skip
# No main function; the stack lies below the data, so that an overflow traps.
LINKED = ("--no-entry", "--export=__heap_base", "--strip-all", "-z", "stack-size=131072")
STACK_FIRST = "--stack-first"  # the default of zig's linker, which does not know the flag


@dataclass(frozen=True)
class Replayed:
    """What came of a golden episode in Node.js."""

    acts: int
    error: float  # the largest absolute one
    mismatch: str | None  # the first


def companions(path: Path) -> dict[Path, str]:
    """The files beside a source, and what they are."""
    return {
        path.with_suffix(WASM): "its WebAssembly",
        path.with_suffix(MODULE): "its JavaScript module",
        path.with_suffix(TYPES): "its TypeScript types",
    }


@cache
def compiler() -> tuple[str, ...]:
    """How to call a compiler that makes WebAssembly: clang with wasm-ld, else the ziglang wheel.

    Raises:
        UsageError: there is neither.
    """
    if shutil.which(CLANG[0]) and shutil.which("wasm-ld"):
        said = subprocess.run([CLANG[0], "--print-targets"], capture_output=True, text=True)
        if "wasm32" in said.stdout:
            return (*CLANG, f"-Wl,{STACK_FIRST}")
    if find_spec("ziglang") is not None:
        return ZIG
    raise UsageError(
        "--wasm needs a compiler for WebAssembly: `pip install 'dt-export[c]'`, or install clang "
        "and lld"
    )


def write(source: Path, contract: Contract) -> None:
    """Compile a printed source, and write the module and its types, all beside it.

    Raises:
        UsageError: there is no compiler, or it refuses the source.
    """
    for suffix, text in _texts(source, contract).items():
        source.with_suffix(suffix).write_text(text, encoding="utf-8", newline="\n")
    ours = files(__package__) / "source" / "wasm"
    with interrupts.temporary_folder() as folder, as_file(ours) as library:
        glue, made = folder / "module.c", folder / "module.wasm"
        glue.write_text(_glue(source, contract), encoding="utf-8")
        _compile((source, glue, library / "library.c"), made, (library, source.parent))
        # Not moved: linkers make it executable.
        source.with_suffix(WASM).write_bytes(made.read_bytes())


def replay(source: Path, golden: Golden) -> Replayed | None:
    """Play a golden episode on what ``write`` wrote, in Node.js; None if it is not installed.

    Raises:
        CheckError: Node.js stopped with an error.
    """
    node = shutil.which("node")
    if node is None:
        return None
    with interrupts.temporary_folder() as folder:
        script, episode = folder / "replay.mjs", folder / "episode.golden.json"
        script.write_text(template("wasm/replay.mjs"), encoding="ascii")
        episode.write_text(golden.to_json(), encoding="utf-8")
        done = subprocess.run(
            [node, script, source.with_suffix(MODULE).resolve(), episode],
            capture_output=True,
            text=True,
        )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "Error" in line] or ["no message"]
        raise CheckError(
            f"Node.js cannot run the WebAssembly: {lines[0].strip()}; nothing was written. Update "
            "Node.js, or export with --no-validate"
        )
    return Replayed(**json.loads(done.stdout))


def _compile(sources: Sequence[Path], output: Path, include: Sequence[Path]) -> None:
    linked = f"-Wl,{','.join(LINKED)}"
    folders = [word for folder in include for word in ("-I", str(folder))]
    command = [*compiler(), *FLAGS, linked, *folders, *map(str, sources), "-o", str(output)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if "error" in line] or [done.stderr]
        raise UsageError(f"--wasm: {command[0]} refuses {sources[0].name}: {said[0].strip()}")


def _glue(source: Path, contract: Contract) -> str:
    """The functions that JavaScript calls."""
    discrete = contract.action.kind == "discrete"
    inside = {
        "header": source.with_suffix(".h").name,
        "type": "int32_t" if discrete else "float",
        "actions": "1" if discrete else "PREFIX_ACTION_SIZE",
    }
    draw = template("wasm/draw.c") if discrete else ""
    text = filled(template("wasm/module.c"), inside, {"draw": draw})
    return prefixed(text, contract.producer["prefix"])


def _texts(source: Path, contract: Contract) -> Mapping[str, str]:
    """The module and its types, by suffix."""
    kind, actions = contract.action.kind, contract.action.size
    what = "is no index of an action" if kind == "discrete" else "is not finite"
    inside = {
        "title": titled(contract),
        "wasm": quote(source.with_suffix(WASM).name),
        "states": str(contract.state.size),
        "actions": str(actions),
        "last": str(actions - 1),
        "applied fault": f"the applied action {what}",
    }
    texts = {
        suffix: filled(
            template(f"wasm/module{suffix}"),
            inside,
            {"act": template(f"wasm/act_{kind}{suffix}")},
        )
        for suffix in (MODULE, TYPES)
    }
    prefix = contract.producer["prefix"]
    return {suffix: prefixed(text, prefix) for suffix, text in texts.items()}
