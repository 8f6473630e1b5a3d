"""Memory: what goes back to the operating system, and what the garbage collector need not look at."""

from __future__ import annotations

import ctypes
import gc
import io
import sys
from contextlib import suppress

# Bytes. Blocks from this size on are mapped separately, and unmapped when freed.
LARGE_BLOCK = 1024 * 1024
_M_MMAP_THRESHOLD = -3
# New objects between two collections, and of how many of them one of the next generation follows. By default 700: with
# 50 requests in flight that is twice per request, and finds nothing, as almost all of them are freed without it.
COLLECT_EVERY = (10_000, 2, 10)


def give_back_large_blocks() -> None:
    """Stop glibc from caching the blocks of large bodies, which it would do after the first one.

    Does nothing with other C libraries.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK)


def collect_rarely() -> None:
    """Let the garbage collector run seldom enough not to be noticed, often enough that no pause grows long."""
    gc.set_threshold(*COLLECT_EVERY)


def hide_loaded() -> None:
    """Hide all objects that exist now from the garbage collector, after it has collected what is garbage.

    Modules, settings and artifacts stay for as long as the process, and walking them takes a full collection tens of
    milliseconds, in which no request runs. What was hidden before and is garbage by now is collected, too.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


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
