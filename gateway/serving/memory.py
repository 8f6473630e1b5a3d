"""What the process gives back of its memory."""

from __future__ import annotations

import ctypes
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
