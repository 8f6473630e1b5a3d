"""What the process gives back of its memory."""

from __future__ import annotations

import ctypes
import io
import sys
from contextlib import suppress

# Bytes. Blocks of this size and more are mapped on their own, and go back to the system when they are let go of.
LARGE_BLOCK = 1024 * 1024
_M_MMAP_THRESHOLD = -3


def give_back_large_blocks() -> None:
    """Have glibc keep none of the blocks that large bodies were in: left alone, it begins to after the first of them.

    Nothing happens with other C libraries.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK)


class LargeBytes:
    """Bytes out of many parts. From a large block on they are mapped on their own: they grow without a copy, and leave
    no hole behind where other things have been put after them.
    """

    def __init__(self) -> None:
        self._parts = io.BytesIO()
        self._mapped = False

    def write(self, part: bytes) -> None:
        self._parts.write(part)
        if not self._mapped and self._parts.tell() > LARGE_BLOCK:
            small, self._mapped = self._parts, True
            self._parts = io.BytesIO(bytes(2 * LARGE_BLOCK + small.tell()))
            self._parts.write(small.getbuffer())

    def value(self) -> bytes:
        """All of them, without a copy."""
        self._parts.truncate()
        return self._parts.getvalue()
