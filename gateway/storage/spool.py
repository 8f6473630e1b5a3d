"""Where finished records are safe at once: one line, one write, appended to a file.

What is written survives the death of the process. Each process appends to a segment of its own and holds a lock on it,
so that after a crash any other process can tell the orphans from the files in use, and import them.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gateway.core import private_file

log = logging.getLogger("thinkgate")

# A disk that is full loses many records a second: they are told of together.
LOG_EVERY_S = 10.0

Row = Sequence[Any]


class Spool:
    """`append` may be called from any thread and does no more than one write(2)."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        """`most_bytes`: how much may lie in the folder, of all processes together; what comes beyond that is lost."""
        private_file.make_folder(folder)
        self._folder = folder
        self._most = most_bytes
        self._full = False
        self._told_at, self._untold = -LOG_EVERY_S, 0
        self._lock = threading.Lock()
        self._path, self._fd = self._segment()
        self._size = 0
        # What the segment holds, too, so that only what the dead left is ever read back from a file.
        self._rows: list[Row] = []
        self.lost = 0

    def append(self, line: bytes, row: Row) -> None:
        """One record, as a line and as a row. A full disk loses it, loudly and countably; it never fails a request."""
        data = line + b"\n"
        with self._lock:
            try:
                if self._full:
                    raise OSError(errno.ENOSPC, f"more than {self._most} bytes wait to reach the table")
                written = os.write(self._fd, data)
                if written == len(data):
                    self._size += written
                    self._rows.append(row)
                    return
                os.ftruncate(self._fd, self._size)  # a torn line would spoil the next one
                why = f"the disk took {written} of its {len(data)} bytes"
            except OSError as error:
                why = str(error)
            self.lost += 1
            self._untold += 1
            now = time.monotonic()
            if now - self._told_at < LOG_EVERY_S:
                return
            untold, self._untold, self._told_at = self._untold, 0, now
        log.error("%s lost: %s", "a record is" if untold == 1 else f"{untold} records are", why)

    def measure(self) -> None:
        """See how much lies in the folder; called now and then, it bounds what is appended."""
        try:
            with os.scandir(self._folder) as files:
                self._full = sum(_size(file) for file in files) > self._most
        except OSError as error:
            log.error("cannot read the records' spool: %s", error)

    def rotate(self) -> tuple[Path, list[Row]] | None:
        """Start a new segment; the full one and its rows are the caller's to import and remove. None: nothing new."""
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
        """Give up the segment; an empty one is removed."""
        with self._lock:
            if not self._size:
                self._path.unlink(missing_ok=True)
            os.close(self._fd)

    def _segment(self) -> tuple[Path, int]:
        path = self._folder / f"{time.time_ns():016x}-{os.getpid()}-{secrets.token_hex(3)}.jsonl"
        unlocked = path.with_suffix(".new")
        fd = os.open(unlocked, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        # It gets its name only now: whoever looks for orphans never sees a segment of ours without its lock.
        unlocked.rename(path)
        return path, fd


def _size(file: os.DirEntry[str]) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0  # imported meanwhile
