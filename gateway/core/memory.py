"""Returns memory to the operating system."""

from __future__ import annotations

import ctypes
import io
import sys
from contextlib import suppress

# Bytes. Blocks from this size on are mapped separately, and unmapped when freed.
LARGE_BLOCK = 1024 * 1024
_M_MMAP_THRESHOLD = -3


def give_back_large_blocks() -> None:
    """Stop glibc from caching the blocks of large bodies, which it would do after the first one.

    Does nothing with other C libraries.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK)


class LargeBytes:
    """A growing byte buffer. Large ones are mapped separately: they grow without copies and leave no holes."""

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
        """The bytes, without a copy."""
        self._parts.truncate()
        return self._parts.getvalue()
