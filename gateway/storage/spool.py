"""Append-only files that persist finished records at once: one line, one write.

Written lines survive the process. Each process appends to its own locked segment, so that after a crash any other
process can recognise orphaned segments and import them.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.core import private_file

log = logging.getLogger("thinkgate")

# Seconds between log lines about lost records: a full disk loses many a second.
LOG_EVERY_S = 10.0


class Spool:
    """`append` is thread-safe and does a single write(2)."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        """`most_bytes`: the limit on the folder's size over all processes; further records are lost."""
        private_file.make_folder(folder)
        self._folder = folder
        self._most = most_bytes
        self._full = False
        self._told_at, self._untold = -LOG_EVERY_S, 0
        self._lock = threading.Lock()
        self._path, self._fd = self._segment()
        self._size = 0
        # The segment's rows, so that only orphaned segments are read back from disk.
        self._rows: list[Any] = []
        self.lost = 0

    def append(self, line: bytes, row: Any) -> bool:
        """Append a row, also as a line. On a full disk it is lost, logged and counted, and nothing raised; whether it
        was written.
        """
        data = line + b"\n"
        with self._lock:
            try:
                if self._full:
                    raise OSError(errno.ENOSPC, f"more than {self._most} bytes wait to reach the table")
                written = os.write(self._fd, data)
                if written == len(data):
                    self._size += written
                    self._rows.append(row)
                    return True
                os.ftruncate(self._fd, self._size)  # a torn line would corrupt the next one
                why = f"the disk took {written} of its {len(data)} bytes"
            except OSError as error:
                why = str(error)
            self.lost += 1
            self._untold += 1
            now = time.monotonic()
            if now - self._told_at < LOG_EVERY_S:
                return False
            untold, self._untold, self._told_at = self._untold, 0, now
        log.error("%s lost: %s", "a record is" if untold == 1 else f"{untold} records are", why)
        return False

    def measure(self) -> None:
        """Measure the folder's size; called periodically to enforce the limit."""
        try:
            with os.scandir(self._folder) as files:
                self._full = sum(_size(file) for file in files) > self._most
        except OSError as error:
            log.error("cannot read the records' spool: %s", error)

    def rotate(self) -> tuple[Path, list[Any]] | None:
        """Start a new segment; returns the old one and its rows, for the caller to import and remove. None: empty."""
        with self._lock:
            if not self._size:
                return None
            full, fd, rows = self._path, self._fd, self._rows
            self._path, self._fd = self._segment()
            self._size, self._rows = 0, []
        os.close(fd)
        return full, rows

    def orphans(self) -> Iterator[Path]:
        """Segments of processes that have died."""
        for path in sorted(self._folder.glob("*.jsonl")):
            if path == self._path:
                continue
            try:
                fd = os.open(path, os.O_RDWR)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield path
            except BlockingIOError:
                continue
            finally:
                os.close(fd)

    def close(self) -> None:
        """Close the segment, and remove it if empty."""
        with self._lock:
            if not self._size:
                self._path.unlink(missing_ok=True)
            os.close(self._fd)

    def _segment(self) -> tuple[Path, int]:
        path = self._folder / f"{time.time_ns():016x}-{os.getpid()}-{secrets.token_hex(3)}.jsonl"
        unlocked = path.with_suffix(".new")
        fd = os.open(unlocked, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        # Renamed once locked, so that a search for orphans never sees an unlocked segment of a live process.
        unlocked.rename(path)
        return path, fd


def _size(file: os.DirEntry[str]) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0  # imported in the meantime
