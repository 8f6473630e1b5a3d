"""Usage counters of all keys, in one file that every process of a host maps into memory.

A change takes a lock and writes a few numbers: 5 microseconds, where a transaction in SQLite was measured at 17 and
sometimes waits for the disk. The file outlives the processes; a power failure loses the seconds that the kernel had not
written yet. Counters are per host.

Reservations of running requests are in the counters and also in a file per process, `<path>.*.lane`: when a process
dies, the first other process to notice releases its reservations.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import mmap
import os
import struct
from collections.abc import Sequence
from operator import sub
from pathlib import Path

from gateway.auth import lane
from gateway.auth import usage_row as rows
from gateway.auth.lane import Holding, HoldingsFile
from gateway.auth.usage_row import SIZE, UsageRow
from gateway.core.errors import ConfigError

log = logging.getLogger("thinkgate")

_MAGIC = b"TGUSAGE1"
# Slot 0 belongs to no key: it holds the magic bytes and a version that grows with every change of a key.
_SLOT = 256
_VERSION = struct.Struct("<q")
_VERSION_AT = len(_MAGIC)
# The format of the rows. 0: of a release without lanes, whose reservations would never be released; 1: rows end before
# the slack of reservations; 2: today's. Each reads and keeps what the others write.
_FORMAT_AT = _VERSION_AT + _VERSION.size
_FORMAT = 2
_GROWTH = 64 * _SLOT
assert SIZE <= _SLOT


def is_other(path: Path) -> bool:
    """Whether this path exists but is not a counter file. Creates nothing."""
    if not path.is_file():
        return path.exists()
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) not in (_MAGIC, bytes(len(_MAGIC)), b"")


class UsageStore:
    def __init__(self, path: Path) -> None:
        """Open the file, created with owner-only permissions if missing. ConfigError: it cannot be opened, or is not a
        counter file.
        """
        self._path = path
        self._lane: HoldingsFile | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self.lock()
            try:
                self._map = self._mapped(_GROWTH)
                if self._map[:_VERSION_AT] == bytes(_VERSION_AT):
                    self._map[:_VERSION_AT] = _MAGIC
                if self._map[:_VERSION_AT] == _MAGIC and self._map[_FORMAT_AT] < _FORMAT:
                    self._renew_format()
            finally:
                self.unlock()
        except (OSError, ValueError) as error:
            raise ConfigError([f"access.path: {path} cannot be used: {error}"]) from error
        if self._map[:_VERSION_AT] != _MAGIC:
            raise ConfigError([f"access.path: {path} is not a Thinkgate counter file"])

    def version(self) -> int:
        """A number that grows with each change of a key, by any process."""
        version: int = _VERSION.unpack_from(self._map, _VERSION_AT)[0]
        return version

    def changed(self) -> None:
        """Announce that a key has changed, so that every process reads it again."""
        self.lock()
        try:
            _VERSION.pack_into(self._map, _VERSION_AT, self.version() + 1)
        finally:
            self.unlock()

    def read(self, slot: int, now: float) -> UsageRow:
        """The row of a key or team, rolled to the current windows. A concurrent change may be half applied."""
        if (slot + 1) * _SLOT > len(self._map):
            with UsageChange(self, (slot,), now) as (counts,):
                return counts
        return self.row(slot, now)

    def change(self, slots: Sequence[int], now: float) -> UsageChange:
        """`with counters.change(slots, now) as rows:` locks these rows for changing them, all or none."""
        return UsageChange(self, slots, now)

    def release_dead(self) -> None:
        """Release the reservations of dead processes."""
        for each in lane.dead(self._path, self._lane.name if self._lane else ""):
            for slot, held in each.rows():
                with UsageChange(self, (slot,), None) as (counts,):
                    counts.give_back(held)
            each.remove()

    def holds(self, slot: int, more: lane.Holding) -> None:
        """Change this process's reservation for a key by `more`."""
        try:
            if self._lane is None:
                self._lane = HoldingsFile(self._path)
            self._lane.add(slot, more)
        except OSError as error:
            log.error("the reservations of a key would be lost with this process: %s", error)

    def close(self) -> None:
        if self._lane is not None:
            self._lane.close()
            self._lane = None
            self.release_dead()
        self._map.close()
        os.close(self._fd)

    def lock(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def unlock(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def row(self, slot: int, now: float | None) -> UsageRow:
        counts = rows.read(self._map, slot * _SLOT)
        if now is not None:
            counts.roll(now)
        return counts

    def write(self, slot: int, counts: UsageRow) -> None:
        rows.write(self._map, slot * _SLOT, counts)

    def grow(self, slot: int) -> None:
        """Grow the file to hold a key's row; the lock must be held."""
        if (slot + 1) * _SLOT > len(self._map):
            self._map.close()
            self._map = self._mapped((slot + 1) * _SLOT)

    def _renew_format(self) -> None:
        for slot in range(1, len(self._map) // _SLOT) if not self._map[_FORMAT_AT] else ():
            counts = rows.read(self._map, slot * _SLOT)
            counts.give_back(counts.held)
            rows.write(self._map, slot * _SLOT, counts)
        self._map[_FORMAT_AT] = _FORMAT

    def _mapped(self, wanted: int) -> mmap.mmap:
        present = os.fstat(self._fd).st_size
        size = max(present, -(-wanted // _GROWTH) * _GROWTH)
        # Allocate disk space now: on a full disk, a later write to mapped memory would kill the process (SIGBUS).
        if os.pwrite(self._fd, bytes(size - present), present) < size - present:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return mmap.mmap(self._fd, size)


class UsageChange:
    """Locked rows, written back unless the block raises. Without a `now` the windows are not rolled, and the change
    is to another process's reservation.
    """

    __slots__ = ("_counters", "_held", "_now", "_rows", "_slots")

    def __init__(self, counters: UsageStore, slots: Sequence[int], now: float | None) -> None:
        self._counters = counters
        self._slots = slots
        self._now = now

    def __enter__(self) -> tuple[UsageRow, ...]:
        counters, now = self._counters, self._now
        counters.lock()
        try:
            for slot in self._slots:
                counters.grow(slot)
            self._rows = tuple([counters.row(slot, now) for slot in self._slots])
            self._held = [rows.held(each) for each in self._rows]
        except BaseException:
            counters.unlock()
            raise
        return self._rows

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                for slot, counts, before in zip(self._slots, self._rows, self._held, strict=True):
                    self._write(slot, counts, before)
        finally:
            self._counters.unlock()

    def _write(self, slot: int, counts: UsageRow, before: tuple[float, ...]) -> None:
        """Ordered so that a process killed in between leaves a lane that holds too much, never too little: releasing
        twice errs until the key is idle, never releasing would err for ever.
        """
        held = rows.held(counts)
        if held == before or self._now is None:
            self._counters.write(slot, counts)
            return
        more = Holding(*map(sub, held, before))
        grows = more.running > 0 or more.bytes > 0 or more.tokens > 0
        if grows:
            self._counters.holds(slot, more)
        self._counters.write(slot, counts)
        if not grows:
            self._counters.holds(slot, more)
