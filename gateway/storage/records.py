"""Rows of requests and of their outcomes, filled into the database in the background from the spool."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from sqlalchemy import Connection

from gateway.core.outcome_row import OutcomeRow
from gateway.core.record import Record
from gateway.storage import rows
from gateway.storage.database import UNAVAILABLE, Database
from gateway.storage.lookup import RecordLookup
from gateway.storage.protocol import RecordGroup, RecordIdentity
from gateway.storage.redaction import Redaction
from gateway.storage.retention import Retention, RetentionLimits
from gateway.storage.rows import Row
from gateway.storage.spool import Spool

log = logging.getLogger("thinkgate")

# A batch costs as much as dozens of its rows: connection, transaction, and a new segment.
IMPORT_EVERY_S = 0.5
# Seconds between retries after the database or the disk refused.
LONGEST_PAUSE_S = 5.0
SPOOL_BYTES = 64 * 1024 * 1024
REDACT_NOTHING = Redaction()


class Records:
    """`write` persists a record before it returns; the table follows within a fraction of a second.

    Call `start` before the first write and `stop` after the last. Importing a row twice is safe: ids are unique.
    """

    def __init__(
        self,
        database: Database,
        spool: Path,
        besides: Callable[[], None] = lambda: None,
        keep: RetentionLimits | None = None,
        spool_bytes: int = SPOOL_BYTES,
        redaction: Redaction = REDACT_NOTHING,
    ) -> None:
        """`spool` is a folder of this host. `besides` runs in the background each time rows are imported. `keep` limits
        the records' number and age; `spool_bytes` is how much may wait for import: further rows are lost. `redaction`
        leaves things out of every row.
        """
        self._database = database
        self._besides = besides
        self._redaction = redaction
        self._retention = Retention(keep or RetentionLimits(), database)
        self._spool = Spool(spool, spool_bytes)
        self._lookup = RecordLookup(database, spool)
        self._not_before = self._pause_s = 0.0
        # Segments that could not be imported yet. If this process dies first, the next one finds them.
        self._kept: list[Path] = []
        self._connection: Connection | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="records", daemon=True)

    @property
    def lost(self) -> int:
        """How many rows could not be written since the start."""
        return self._spool.lost

    def start(self) -> None:
        self._thread.start()

    def write(self, record: Record) -> None:
        record = self._redaction.record(record)
        self._spool.append(rows.dump(record), record)

    def rate(self, outcome: OutcomeRow) -> bool:
        outcome = self._redaction.outcome(outcome)
        return self._spool.append(rows.dump(outcome), outcome)

    def find(self, id: str, key: str | None) -> RecordIdentity | None:
        return self._lookup.find(id, key)

    def latest(self, group: RecordGroup, key: str | None) -> RecordIdentity | None:
        return self._lookup.latest(group, key)

    def group_score(self, group: RecordGroup, key: str | None, metric: str, source: str) -> float | None:
        return self._lookup.group_score(group, key, metric, source)

    def score(self, id: str, metric: str, source: str) -> float | None:
        return self._lookup.score(id, metric, source)

    def stop(self) -> None:
        """Import what is left and close the files."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._spool.close()
        self._lookup.close()

    def _run(self) -> None:
        """Import the rows of dead processes, then our own as they arrive.

        It polls: waking it would cost every request a system call and contention for the interpreter lock.
        """
        for segment in self._spool.orphans():
            if self._kept:
                self._kept.append(segment)  # the database is out of reach
            else:
                self._import(segment)
        while not self._stopping.wait(IMPORT_EVERY_S):
            if time.monotonic() >= self._not_before:
                self._import_own()
            self._spool.measure()
            self._besides()
        self._import_own()
        self._disconnect()

    def _import_own(self) -> None:
        """Import what waits; after a failure, retry with growing pauses."""
        try:
            full = self._spool.rotate()
        except OSError as error:  # no room for a new segment: continue with the old one
            log.error("records stay in the spool, the table is not writable: %s", error)
            self._wait()
            return
        if full is not None and not self._import(*full):
            return
        kept, self._kept = self._kept, []
        while kept and self._import(kept.pop(0)):
            pass
        self._kept += kept
        self._trim()

    def _trim(self) -> None:
        """Do one step of retention if it is due and no import has done it."""
        if self._kept or not self._retention.due(time.monotonic()) or not self._database.exists():
            return
        try:
            self._retention.step(self._connected(), time.monotonic(), time.time())
        except UNAVAILABLE as error:
            log.error("expired records could not be deleted: %s", error)
            self._disconnect()
            self._wait()

    def _wait(self) -> None:
        self._pause_s = min(max(2 * self._pause_s, IMPORT_EVERY_S), LONGEST_PAUSE_S)
        self._not_before = time.monotonic() + self._pause_s

    def _import(self, segment: Path, found: Iterable[Row] | None = None) -> bool:
        """Import a segment; `found` saves reading it back. A segment that cannot be imported now is retried later."""
        try:
            found = list(rows.read(segment)) if found is None else found
            connection = self._connected()
            rows.insert(connection, rows.not_erased(connection, found))
            connection.commit()
            self._retention.step(connection, time.monotonic(), time.time())
            segment.unlink(missing_ok=True)
        except FileNotFoundError:
            pass  # a process that just started took it for an orphan and imported it
        except UNAVAILABLE as error:
            log.error("records stay in %s: %s", segment, error)
            self._disconnect()
            self._kept.append(segment)
            self._wait()
            return False
        self._pause_s = 0.0
        return True

    def _connected(self) -> Connection:
        """The connection of this thread, opened anew where it no longer leads to the database."""
        if self._connection is None or not self._database.serves(self._connection):
            self._disconnect()
            self._connection = self._database.connect()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except UNAVAILABLE:
                connection.invalidate()
