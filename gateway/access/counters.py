"""The counters of all keys, in one file that every process of a host maps into its memory.

A change is a lock, a few numbers and an unlock: 5 microseconds, where a transaction in SQLite was measured at 17 and
now and then waits for the disk. The file outlives the processes; a machine that loses its power loses what its kernel
had not written yet, some seconds. It works on one host: processes on others have counters of their own.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from gateway.access.counts import SIZE, Counts, pack, unpack
from gateway.errors import ConfigError

_MAGIC = b"TGUSAGE1"
# Slot 0 is no key's: it holds the magic word, and a number that grows with every change of a key.
_SLOT = 256
_VERSION = struct.Struct("<q")
_VERSION_AT = len(_MAGIC)
_GROWTH = 64 * _SLOT
assert SIZE <= _SLOT


class Counters:
    def __init__(self, path: Path) -> None:
        """Made if need be, for its owner's eyes only. ConfigError: it cannot be had, or is another kind of file."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with self._locked():
                self._map = self._mapped(_GROWTH)
                if self._map[:_VERSION_AT] == bytes(_VERSION_AT):
                    self._map[:_VERSION_AT] = _MAGIC
        except (OSError, ValueError) as error:
            raise ConfigError([f"access.path: {path} cannot be used: {error}"]) from error
        if self._map[:_VERSION_AT] != _MAGIC:
            raise ConfigError([f"access.path: {path} holds no counters of Thinkgate"])

    def version(self) -> int:
        """Another number after each change of a key, by whichever process."""
        version: int = _VERSION.unpack_from(self._map, _VERSION_AT)[0]
        return version

    def changed(self) -> None:
        """A key is not what it was: every process is to look again."""
        with self._locked():
            _VERSION.pack_into(self._map, _VERSION_AT, self.version() + 1)

    def read(self, slot: int, now: float) -> Counts:
        with self._locked():
            return self._row(slot, now)

    @contextlib.contextmanager
    def change(self, slot: int, now: float) -> Iterator[Counts]:
        """The row of a key, its windows those of now, for nobody else to change meanwhile. An error changes nothing."""
        with self._locked():
            counts = self._row(slot, now)
            yield counts
            at = slot * _SLOT
            self._map[at : at + SIZE] = pack(counts)

    def close(self) -> None:
        self._map.close()
        os.close(self._fd)

    def _row(self, slot: int, now: float) -> Counts:
        at = slot * _SLOT
        if at + _SLOT > len(self._map):
            self._map.close()
            self._map = self._mapped(at + _SLOT)
        counts = unpack(self._map[at : at + SIZE])
        counts.roll(now)
        return counts

    def _mapped(self, wanted: int) -> mmap.mmap:
        present = os.fstat(self._fd).st_size
        size = max(present, -(-wanted // _GROWTH) * _GROWTH)
        # The disk space is taken now: a full disk must not turn a later write to memory into the end of the process.
        if os.pwrite(self._fd, bytes(size - present), present) < size - present:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return mmap.mmap(self._fd, size)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
