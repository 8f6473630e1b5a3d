"""What the running requests of one process hold, key by key, for others to give back should it die.

Each process has a file of its own and a lock on it, which the kernel drops with the process, however that ends. The
totals of a key, over all processes, are among its counters.
"""

from __future__ import annotations

import fcntl
import glob
import mmap
import os
import secrets
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_ROW = struct.Struct("<5qd")
_SLOT = 64
_GROWTH = 64 * _SLOT
SUFFIX = ".lane"


class Holding(NamedTuple):
    """Requests, bytes of their bodies, and tokens, thinking tokens and dollars that they may still spend."""

    running: int = 0
    bytes: int = 0
    tokens: int = 0
    thinking: int = 0
    dollars: float = 0.0


NONE = Holding()


class HoldingsFile:
    def __init__(self, beside: Path) -> None:
        """Its file has a name that begins as this one's does. OSError: it cannot be made."""
        name = f"{beside.name}.{time.time_ns():016x}-{os.getpid()}-{secrets.token_hex(3)}{SUFFIX}"
        self._path = beside.with_name(name)
        unlocked = self._path.with_suffix(".new")
        self._fd = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        # It gets its name only now: whoever looks for the dead never sees a lane without its lock.
        unlocked.rename(self._path)
        self._rows: dict[int, int] = {}
        self._map = _mapped(self._fd, _GROWTH)

    def add(self, slot: int, more: Holding) -> None:
        """What a key's requests hold here changes by so much."""
        at = self._rows.get(slot)
        if at is None:
            at = self._rows[slot] = len(self._rows) * _SLOT
            if at + _SLOT > len(self._map):
                self._map.close()
                self._map = _mapped(self._fd, at + _SLOT)
        _, running, size, tokens, thinking, dollars = _ROW.unpack_from(self._map, at)
        held = (running + more.running, size + more.bytes, tokens + more.tokens, thinking + more.thinking)
        _ROW.pack_into(self._map, at, slot, *held, dollars + more.dollars)

    @property
    def name(self) -> str:
        return self._path.name

    def close(self) -> None:
        """Whatever it still holds is for others to give back, as if the process had died."""
        self._map.close()
        os.close(self._fd)


class OrphanedHoldings:
    """The lane of a process that has died, which nobody else is giving back."""

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd

    def rows(self) -> Iterator[tuple[int, Holding]]:
        """Each key's slot and what is to be given back for it: once that is done, it is forgotten."""
        size = os.fstat(self._fd).st_size
        for at in range(0, size, _SLOT):
            raw = os.pread(self._fd, _ROW.size, at)
            slot, *held = _ROW.unpack(raw) if len(raw) == _ROW.size else (0,)
            if not slot:
                break
            yield slot, Holding(*held)
            os.pwrite(self._fd, bytes(_ROW.size - 8), at + 8)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


def dead(beside: Path, own: str) -> Iterator[OrphanedHoldings]:
    """The lanes, beside this file, of processes that have died; `own` is the name of this one's."""
    for path in sorted(beside.parent.glob(f"{glob.escape(beside.name)}.*{SUFFIX}")):
        if path.name == own:
            continue
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_nlink:  # else another process was first
                yield OrphanedHoldings(path, fd)
        except BlockingIOError:
            continue
        finally:
            os.close(fd)


def _mapped(fd: int, wanted: int) -> mmap.mmap:
    present = os.fstat(fd).st_size
    size = -(-wanted // _GROWTH) * _GROWTH
    # The disk space is taken now: a full disk must not turn a later write to memory into the end of the process.
    os.pwrite(fd, bytes(size - present), present)
    return mmap.mmap(fd, size)
