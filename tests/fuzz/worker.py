"""The judging side: hands a case to the child, waits, and says what came of it."""

import contextlib
import json
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuzz.cases import Case, changed, lay_out

SECONDS = 10.0  # that a case may take
GROWTH = 768 << 20  # bytes that may be allocated, touched or not
RESIDENT = 384 << 20  # bytes that may be touched
CANARY = "canary"  # below the scratch folder: what payloads would create
GOOD = ("accepted", "refused")


@dataclass(frozen=True)
class Outcome:
    """``kind``: accepted, refused, or a finding. ``what`` tells findings of a kind apart."""

    kind: str
    what: str = ""
    detail: str = ""

    @property
    def finding(self) -> bool:
        return self.kind not in GOOD


class Worker:
    """One child process over a scratch folder, which is made anew.

    Args:
        scratch: where cases are laid out and temporary files go.
        warm: whole inputs that are run first, unwatched: none may be refused.
        seconds: what a case may take before the child is killed.
    """

    def __init__(self, scratch: Path, warm: Iterable[Case] = (), seconds: float = SECONDS):
        self.scratch, self.seconds = scratch, seconds
        shutil.rmtree(scratch, ignore_errors=True)
        for name in ("temporary", "home"):
            (scratch / name).mkdir(parents=True)
        self.canary, self._output = scratch / CANARY, scratch / "output"
        requests, self._requests = os.pipe()
        self._replies, replies = os.pipe()
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "OMP_NUM_THREADS": "1",
            "FUZZ_CANARY": str(self.canary),
            "HOME": str(scratch / "home"),
            "HF_HUB_OFFLINE": "1",
            "TMPDIR": str(scratch / "temporary"),
        }
        words = [str(requests), str(replies), str(GROWTH), str(scratch)]
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "fuzz.child", *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(requests, replies),
                env=environment,
            )
        os.close(requests)
        os.close(replies)
        for case in warm:
            outcome = self._judged(case, armed=False, seconds=120)
            if outcome.kind not in ("accepted", "insane"):
                raise AssertionError(f"the seed {case.label} was not accepted: {outcome}")
        self._send({"begin": True})
        self._ready()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: Any) -> None:
        os.close(self._requests)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
        os.close(self._replies)

    def run(self, case: Case) -> Outcome:
        return self._judged(case, armed=True, seconds=self.seconds)

    def _judged(self, case: Case, armed: bool, seconds: float) -> Outcome:
        folder = self.scratch / "case"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        lay_out(case.files, folder)
        os.truncate(self._output, 0)
        self._send(
            dict(
                folder=str(folder), surface=case.surface, arguments=dict(case.arguments),
                armed=armed,
            )
        )  # fmt: skip
        reply = self._receive(seconds)
        hung = reply is None
        if hung:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGUSR1)  # writes its stack to the output
                time.sleep(0.2)
                os.kill(self._child, signal.SIGKILL)
            reply = self._receive(60)
        output = self._output.read_text(errors="replace")
        if "died" in reply:
            self._ready()
        if self.canary.exists():
            self.canary.unlink()
            return Outcome("executed", "the canary", f"a payload ran\n{output}")
        if hung:
            return Outcome("hung", _stack(output), f"after {seconds:g} s\n{output}")
        if "died" in reply:
            name = _signal(reply["died"])
            return Outcome("crashed", f"{name} {_stack(output)}", output)
        return _outcome(reply, output, changed(case.files, folder))

    def _ready(self) -> None:
        reply = self._receive(120)
        if reply is None or "ready" not in reply:
            raise AssertionError(f"no worker came up: {reply} {self._output.read_text()}")
        self._child = reply["ready"]

    def _send(self, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        content = struct.pack("<I", len(content)) + content
        while content:
            content = content[os.write(self._requests, content) :]

    def _receive(self, seconds: float) -> dict[str, Any] | None:
        head = self._exactly(4, seconds)
        return None if head is None else json.loads(self._exactly(*struct.unpack("<I", head), 60))

    def _exactly(self, size: int, seconds: float) -> Any:
        content, end = b"", time.monotonic() + seconds
        while len(content) < size:
            if not select.select([self._replies], [], [], max(0.0, end - time.monotonic()))[0]:
                return None
            part = os.read(self._replies, size - len(content))
            if not part:
                raise AssertionError(f"the child ended: {self._output.read_text()[-3000:]}")
            content += part
        return content


def _outcome(reply: dict[str, Any], output: str, change: str | None) -> Outcome:
    """The worst of what a reply tells."""
    told = f"{reply.get('error', '')}: {reply.get('message', '')}\n{reply.get('trace', '')}"
    if reply["events"]:
        return Outcome("executed", reply["events"][0][:60], "\n".join(reply["events"]) + told)
    if change:
        return Outcome("changed", change, told)
    if reply["kind"] == "raised":
        return Outcome("raised", f"{reply['error']} at {reply['where']}", told)
    if reply.get("memory"):
        return Outcome("memory", f"refused by the limit at {reply['where']}", told)
    if reply.get("grew", 0) > RESIDENT:
        return Outcome("memory", f"more than {RESIDENT >> 20} MiB", f"{reply['grew']} bytes {told}")
    if reply["insane"]:
        what = re.split(r" \(call | (?:is|holds|has) (?=\S)", reply["insane"][0])[0]
        return Outcome("insane", what[:80], "\n".join(reply["insane"]))
    if output.strip():
        return Outcome("printed", _plain(output.strip().splitlines()[0])[:60], output[:2000])
    what = reply.get("error", "")
    return Outcome(reply["kind"], what, reply.get("message", ""))


def _plain(line: str) -> str:
    """A line without colours and times, so that the same message is the same finding."""
    return re.sub(r"\x1b\[[0-9;]*m|\d{4}-\d\d-\d\d [\d:.]+ ", "", line)


def _stack(output: str) -> str:
    """The innermost frames of ours in what faulthandler wrote."""
    lines = [line.strip() for line in output.splitlines() if 'File "' in line]
    if not lines:
        return ""
    shown = [line for line in lines if "/dt_" in line][:1] or lines[:1]
    parts = shown[0].split('"')
    return f"{'/'.join(Path(parts[1]).parts[-2:])}{parts[2]}"


def _signal(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit {code}"
