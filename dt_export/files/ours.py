"""Did dt-export write this file? Its bytes tell; nothing is loaded or executed."""

import mmap
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

from dt_export.version import __version__

PRODUCER = f"dt-export {__version__}"  # the first entry of every JSON document that we write
LISTING = "# The operators of "  # how a list of operators begins
_REPORT = re.compile(rb'\{\s*"producer": "dt-export ')
_EXTRA = re.compile(r"[^/]+/extra/dt_export\.json")  # in a TorchScript file
_ENTRY = b"\x0a\x09dt_export"  # a protobuf message whose first string, the key, is our name
_STRING = b"\x09\x00\x00\x00dt_export\x00"  # the same in a flatbuffer
_CONTRACT = b"dt_export contract\n"  # how a contract begins in a compiled policy
_METADATA = 14  # the field of ONNX's ModelProto
_GENERATOR = b'<meta name="generator" content="dt-export '
_SUITES = b'<testsuites name="dt-export '
HEAD = 32  # bytes: by them a format is told
_HEAD = 8192  # bytes: a picture names its maker within them
_RECORDED = b"dt-export "  # how the comment in a video begins


def is_artifact(path: Path) -> bool:
    """Whether a file of any target carries our contract."""
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            head = content[:HEAD]
            carries = next(carries for begins, carries in FORMATS if begins.match(head))
            return carries(content)
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False


def is_report(path: Path) -> bool:
    """Whether a file is a JSON document that dt-export wrote."""
    return _REPORT.match(_head(path)) is not None


def is_plot(path: Path) -> bool:
    """Whether a picture says that dt-export drew it."""
    head = _head(path)
    return b"<dc:title>dt-export</dc:title>" in head or b"Software\x00dt-export" in head


def is_listing(path: Path) -> bool:
    """Whether a file is a list of operators that dt-export wrote."""
    return _head(path).startswith(LISTING.encode())


def is_page(path: Path) -> bool:
    """Whether a file is an HTML page that dt-export wrote."""
    head = _head(path)
    return head.startswith(b"<!DOCTYPE html>") and _GENERATOR in head


def is_junit(path: Path) -> bool:
    """Whether a file is JUnit XML that dt-export wrote."""
    return _SUITES in _head(path)


def is_video(path: Path) -> bool:
    """Whether a GIF or an MP4 says that dt-export recorded it."""
    head = _head(path)
    if head.startswith(b"GIF89a"):
        return _RECORDED in head
    if head[4:8] != b"ftyp":
        return False
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            start, end = _box(content, b"moov")
            notes = content.rfind(b"udta", start, end)
            return notes >= 0 and content.find(_RECORDED, notes, end) >= 0
    except (OSError, ValueError):
        return False


OURS: tuple[Callable[[Path], bool], ...] = (
    is_artifact, is_report, is_plot, is_listing, is_page, is_junit, is_video,
)  # fmt: skip


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError:
        return b""


def _box(content: mmap.mmap, kind: bytes) -> tuple[int, int]:
    """Where a top-level box of an MP4 begins and ends.

    Raises:
        ValueError: there is none.
    """
    at = 0
    while at + 16 <= len(content):
        size, name = int.from_bytes(content[at : at + 4]), content[at + 4 : at + 8]
        if size == 1:  # a long one
            size = int.from_bytes(content[at + 8 : at + 16])
        if name == kind:
            return at, at + size
        if size < 8:
            break
        at += size
    raise ValueError(f"no box {kind!r}")


def _in_archive(content: mmap.mmap) -> bool:
    """Whether an archive of PyTorch's has our extra file: TorchScript and torch.export."""
    with zipfile.ZipFile(content) as archive:  # type: ignore[call-overload]
        return any(_EXTRA.fullmatch(name) for name in archive.namelist())


def _in_ort(content: mmap.mmap) -> bool:
    return content.find(_STRING) >= 0


def _in_onnx(content: mmap.mmap) -> bool:
    """Whether an ONNX model has our entry in its metadata. Steps over all other fields."""
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        kind = tag & 7
        if kind == 2:
            size, at = _varint(content, at)
            if tag >> 3 == _METADATA and content[at : at + len(_ENTRY)] == _ENTRY:
                return True
            at += size
        elif kind == 0:
            _, at = _varint(content, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            return False
    return False


def _varint(content: mmap.mmap, at: int) -> tuple[int, int]:
    """A protobuf varint and where it ends.

    Raises:
        ValueError: there is none.
    """
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(content):
            break
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("no protobuf varint")


def _in_library(content: mmap.mmap) -> bool:
    return content.find(_CONTRACT) >= 0


def _always(content: mmap.mmap) -> bool:
    return True


# The files of all targets: how one begins, and whether it carries our contract. The first that
# matches decides.
FORMATS: tuple[tuple[re.Pattern[bytes], Callable[[mmap.mmap], bool]], ...] = (
    (re.compile(rb"PK"), _in_archive),
    (re.compile(rb".{4}ORTM", re.S), _in_ort),
    (re.compile(rb"/\* dt-export"), _always),  # a source or a header in C
    (re.compile(rb"dt_export weights\x00"), _always),
    # Shared libraries of ELF, Windows and macOS, and WebAssembly.
    (re.compile(rb"\x7fELF|MZ|\xcf\xfa\xed\xfe|\xca\xfe\xba\xbe|\x00asm"), _in_library),
    (re.compile(rb""), _in_onnx),  # protobuf begins with nothing of its own
)
