"""Streams that take memory for what is there, and not for what a length in them says."""

import io
from typing import IO


class Bounded:
    """A seekable stream whose reads never ask for more than is left of it.

    Python's own files take the memory that ``read`` names before they look how much there is, and
    pickles, archives and arrays are full of lengths.
    """

    def __init__(self, stream: IO[bytes]):
        self._stream = stream
        self.size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        self.seek, self.tell, self.readline = stream.seek, stream.tell, stream.readline

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self.size - self._stream.tell())
        return self._stream.read(left if size is None or size < 0 else min(size, left))

    def seekable(self) -> bool:
        return True
