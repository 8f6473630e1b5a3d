"""Reservations of one process's running requests, per key, so that others can release them if it dies.

Each process holds a lock on its own file, which the kernel releases when the process ends. The totals of a key over
all processes are in its usage counters.
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
from operator import add
from pathlib import Path
from typing import NamedTuple

# Rows of the release before have neither of the last two numbers, and zeros in their place.
_ROW = struct.Struct("<5qdqd")
_SLOT = 64
assert _ROW.size <= _SLOT
_GROWTH = 64 * _SLOT
SUFFIX = ".lane"


class Holding(NamedTuple):
    """Requests, bytes of their bodies, and the tokens, thinking tokens and dollars that they may still spend.

    Thinking tokens and dollars are the worst case; the `slack` of each is the part that is not expected to be spent.
    """

    running: int = 0
    bytes: int = 0
    tokens: int = 0
    thinking: int = 0
    dollars: float = 0.0
    slack_thinking: int = 0
    slack_dollars: float = 0.0


NONE = Holding()


class HoldingsFile:
    def __init__(self, beside: Path) -> None:
        """Create the file, named after `beside`. OSError: it cannot be created."""
        name = f"{beside.name}.{time.time_ns():016x}-{os.getpid()}-{secrets.token_hex(3)}{SUFFIX}"
        self._path = beside.with_name(name)
        unlocked = self._path.with_suffix(".new")
        self._fd = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        # Renamed once locked, so that a search for dead processes never sees an unlocked file of a live one.
        unlocked.rename(self._path)
        self._rows: dict[int, int] = {}
        self._map = _mapped(self._fd, _GROWTH)

    def add(self, slot: int, more: Holding) -> None:
        """Change a key's reservation in this process by `more`."""
        at = self._rows.get(slot)
        if at is None:
            at = self._rows[slot] = len(self._rows) * _SLOT
            if at + _SLOT > len(self._map):
                self._map.close()
                self._map = _mapped(self._fd, at + _SLOT)
        _, *present = _ROW.unpack_from(self._map, at)
        _ROW.pack_into(self._map, at, slot, *map(add, present, more))

    @property
    def name(self) -> str:
        return self._path.name

    def close(self) -> None:
        """Leave what is still reserved to other processes to release, as if this one had died."""
        self._map.close()
        os.close(self._fd)


class OrphanedHoldings:
    """The file of a dead process, locked for releasing its reservations."""

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd

    def rows(self) -> Iterator[tuple[int, Holding]]:
        """Each key's slot and the reservation to release; a row is cleared once the caller has done so."""
        size = os.fstat(self._fd).st_size
        for at in range(0, size, _SLOT):
            raw = os.pread(self._fd, _ROW.size, at)
            slot, *values = _ROW.unpack(raw) if len(raw) == _ROW.size else (0,)
            if not slot:
                break
            yield slot, Holding(*values)
            os.pwrite(self._fd, bytes(_ROW.size - 8), at + 8)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


def dead(beside: Path, own: str) -> Iterator[OrphanedHoldings]:
    """The files of dead processes next to `beside`; `own` is the name of this process's file."""
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
    # Allocate disk space now: on a full disk, a later write to mapped memory would kill the process (SIGBUS).
    os.pwrite(fd, bytes(size - present), present)
    return mmap.mmap(fd, size)
