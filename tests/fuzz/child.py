"""The watched side: runs one case after another and reports what happened, until it dies of one.

The first process imports everything and runs the seeds, so that lazy imports are done. Then it
forks workers one at a time: when a case kills a worker, the next one is ready in milliseconds. Only
the worker is limited and watched. Frames are JSON behind four bytes of length, on two pipes of
their own; standard output and error go to a file, and nothing should ever stand in it.
"""

import faulthandler
import json
import os
import resource
import signal
import struct
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from fuzz import blame

TAIL = 6  # lines of a traceback that are reported

_events: list[str] = []
_armed = False
_scratch = ""

# Without these, nothing that reads a file has a reason to happen.
NEVER = {
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.startfile",
    "os.kill", "os.putenv", "subprocess.Popen", "pty.spawn", "pickle.find_class", "ctypes.dlopen",
    "ctypes.dlsym", "socket.__new__", "socket.connect", "socket.bind", "socket.getaddrinfo",
    "urllib.Request", "webbrowser.open", "code.__new__", "function.__new__", "marshal.loads",
    "compile", "exec",
}  # fmt: skip
CHANGES = {
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.link",
    "os.symlink", "os.truncate", "shutil.rmtree", "shutil.move", "shutil.copyfile",
}  # fmt: skip
# Modules that error paths of Python and of the libraries import late.
LATE = ("encodings.", "linecache", "traceback", "tokenize", "unicodedata", "stringprep")


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _armed:
        return
    said = None
    if event == "open":
        path, _, flags = arguments
        writes = (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        if writes and not _allowed(path):
            said = f"open for writing: {path!r:.120}"
    elif event in CHANGES:
        if not _allowed(arguments[0]):
            said = f"{event}{arguments!r:.120}"
    elif event == "import":
        if not str(arguments[0]).startswith(LATE):
            said = f"import {arguments[0]!r:.120}"
    elif event in NEVER and not _by_python(event):
        said = f"{event}{arguments!r:.160}"
    if said is not None:
        _events.append(said)
        raise PermissionError(f"the fuzzer forbids {said}")


def _allowed(path: Any) -> bool:
    if isinstance(path, int):
        return True  # an open file; what opened it was asked
    text = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - no Path: this runs on every open
    return text == "/dev/null" or text.startswith(_scratch)


def _by_python(event: str) -> bool:
    """Whether a module of the standard library makes a class or function out of text, as they do.

    ``namedtuple`` and ``dataclass`` compile and execute; so does importing, which is asked about
    as such. ``ast`` compiles literals and runs nothing: NumPy reads its headers with it.
    """
    if event not in ("compile", "exec", "code.__new__", "marshal.loads", "function.__new__"):
        return False
    caller = sys._getframe(2).f_code.co_filename
    return caller.startswith("<frozen importlib") or caller.endswith(
        ("collections/__init__.py", "dataclasses.py", "/ast.py")
    )


def _send(pipe: int, document: dict[str, Any]) -> None:
    content = json.dumps(document).encode()
    content = struct.pack("<I", len(content)) + content
    while content:
        content = content[os.write(pipe, content) :]


def _receive(pipe: int) -> dict[str, Any] | None:
    head = _exactly(pipe, 4)
    return json.loads(_exactly(pipe, *struct.unpack("<I", head))) if head else None


def _exactly(pipe: int, size: int) -> bytes:
    content = b""
    while len(content) < size:
        part = os.read(pipe, size - len(content))
        if not part:
            return b""
        content += part
    return content


def _status(key: str) -> int:
    """A line of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(key)


def _run(request: dict[str, Any]) -> dict[str, Any]:
    """One case; the reply says what came of it."""
    from fuzz import surfaces

    global _armed
    os.chdir(request["folder"])
    reply: dict[str, Any] = {"kind": "accepted"}
    _events.clear()
    _armed = request["armed"]
    try:
        insane = getattr(surfaces, request["surface"])(**request["arguments"])
        reply["insane"] = insane
    except BaseException as error:
        _armed = False
        where, ours = blame.raised_by(error)
        known = surfaces.refusals(request["surface"])
        refused = (
            isinstance(error, known)
            or (ours and surfaces.refuses_in_words(request["surface"], error))
            or surfaces.comes_from_the_engine(request["surface"], where)
        )
        reply = {
            "kind": "refused" if refused else "raised",
            "error": type(error).__name__,
            "where": where,
            "memory": blame.out_of_memory(error),
            "insane": [],
        }
        try:
            reply["message"] = str(error)[:2000]
            lines = "".join(traceback.format_exception(error, limit=-TAIL)).splitlines()
            reply["trace"] = "\n".join(line[:200] for line in lines[-2 * TAIL :])
        except Exception as second:
            reply["kind"], reply["message"] = "raised", f"its message raises {second!r:.80}"
        del error
    finally:
        _armed = False
    reply["events"] = list(_events)
    return reply


def _work(requests: int, replies: int, growth: int) -> None:
    """Run cases until told to stop, or until one of them is the end."""
    limit = _status("VmData") + growth
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _send(replies, {"ready": os.getpid()})
    while (request := _receive(requests)) is not None:
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before = _status("VmRSS")
        reply = _run(request)
        reply["grew"] = _status("VmHWM") - before
        _send(replies, reply)
    os._exit(0)


def main() -> None:
    global _scratch
    requests, replies, growth = (int(word) for word in sys.argv[1:4])
    _scratch = str(Path(sys.argv[4]).resolve()) + os.sep
    tempfile.tempdir = str(Path(_scratch, "temporary"))
    sys.dont_write_bytecode = True
    faulthandler.enable(all_threads=False)
    faulthandler.register(signal.SIGUSR1)
    import torch

    torch.set_num_threads(1)
    from fuzz import surfaces  # noqa: F401

    while (request := _receive(requests)) is not None and not request.get("begin"):
        _send(replies, _run(request))
    sys.addaudithook(_hook)
    while request is not None:
        process = os.fork()
        if process == 0:
            _work(requests, replies, growth)
        _, status = os.waitpid(process, 0)
        if status == 0:
            return
        _send(replies, {"died": os.waitstatus_to_exitcode(status)})


if __name__ == "__main__":
    main()
