"""Candidates that run a policy compiled to WebAssembly, in a Node.js process that times itself."""

import shutil
import subprocess
from pathlib import Path

from dt_export.bench.candidate import Candidate, Setting
from dt_export.bench.timing import PRIMED
from dt_export.errors import UsageError
from dt_export.exporting import export
from dt_export.targets.c.wasm import MODULE, WASM

TIMED = Path(__file__).parent / "programs" / "timed.mjs"


def exported(
    setting: Setting, precision: str, slots: int, activation_bits: int | None = None
) -> Candidate:
    """The WebAssembly of the setting's checkpoint, in Node.js.

    Raises:
        UsageError: there is no Node.js or no compiler, this model has no such file, or a step is to
            have several rows.
    """
    node = shutil.which("node")
    if node is None:
        raise UsageError("node is not installed")
    if setting.batch != 1:
        raise UsageError(f"--batch is {setting.batch}, and JavaScript is measured at 1")
    bits = "" if activation_bits is None else f"_{activation_bits}"
    path = setting.exports.made(
        f"wasm_{precision}{bits}_{slots}_{setting.length}.c",
        lambda path: export(
            setting.checkpoint, "c", path, precision=precision, slots=slots, wasm=True,
            activation_bits=activation_bits, prefix="policy", validate=False,
        ),
    )  # fmt: skip
    process = _Process([node, str(TIMED), str(path.with_suffix(MODULE)), str(PRIMED)])
    return Candidate(process.step, file=path.with_suffix(WASM), own_clock=True)


class _Process:
    """Node.js with a policy; it ends when its standard input does."""

    def __init__(self, command: list[str]):
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._ask, self._answers = self._process.stdin.write, self._process.stdout
        self.step()  # returns when everything is loaded

    def step(self) -> int:
        """The nanoseconds of one step.

        Raises:
            UsageError: Node.js stopped.
        """
        try:
            self._ask(b"\n")
            line = self._answers.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise UsageError(f"node stopped with exit code {self._process.wait()}")
        return int(line)

    def __del__(self) -> None:
        process = getattr(self, "_process", None)
        if process is not None:
            for stream in (process.stdin, process.stdout):
                stream.close()
            process.wait()
