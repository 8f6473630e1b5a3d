"""One row per request in SQLite, filled in the background from the spool."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, get_type_hints

import orjson

from gateway.core import private_file
from gateway.core.record import Record
from gateway.storage.retention import Retention, RetentionLimits
from gateway.storage.spool import Row, Spool

log = logging.getLogger("thinkgate")

IMPORT_EVERY_S = 0.2
ROWS_AT_ONCE = 64
# Seconds between retries after the database or the disk refused.
LONGEST_PAUSE_S = 5.0
SPOOL_BYTES, LOG_BYTES = 64 * 1024 * 1024, 16 * 1024 * 1024
COLUMNS = Record._fields
_KEY, _USER, _UNIT, _TIME = map(COLUMNS.index, ("key", "user", "unit", "time"))
_TYPES: dict[Any, str] = {
    **dict.fromkeys((int, int | None, bool, bool | None), "INTEGER"),
    **dict.fromkeys((float, float | None), "REAL"),
}


def _columns() -> dict[str, str]:
    """Each column's name and SQL definition."""
    kinds = {name: _TYPES.get(kind, "TEXT") for name, kind in get_type_hints(Record).items()}
    return {name: f"{name} {kind}" + (" PRIMARY KEY" if name == "id" else "") for name, kind in kinds.items()}


class Records:
    """`write` persists a record before it returns; the table follows within a fraction of a second.

    Call `start` before the first write and `stop` after the last. Importing a record twice is safe: ids are unique.
    """

    def __init__(
        self,
        path: Path,
        besides: Callable[[], None] = lambda: None,
        keep: RetentionLimits | None = None,
        spool_bytes: int = SPOOL_BYTES,
    ) -> None:
        """`besides` runs in the background each time records are imported. `keep` limits their number and age;
        `spool_bytes` is how much may wait for import: further records are lost.
        """
        self._path = path
        self._besides = besides
        self._retention = Retention(keep or RetentionLimits())
        self._spool = Spool(spool_of(path), spool_bytes)
        self._not_before = self._pause_s = 0.0
        # Segments that could not be imported yet. If this process dies first, the next one finds them.
        self._kept: list[Path] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="records", daemon=True)

    @property
    def lost(self) -> int:
        """How many records could not be written since the start."""
        return self._spool.lost

    def start(self) -> None:
        self._thread.start()

    def write(self, record: Record) -> None:
        self._spool.append(orjson.dumps(dict(zip(COLUMNS, record, strict=True))), record)

    def stop(self) -> None:
        """Import what is left and close the files."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._spool.close()

    def _run(self) -> None:
        """Import the records of dead processes, then our own as they arrive.

        It polls: waking it would cost every request a system call and contention for the interpreter lock.
        """
        for segment in self._spool.orphans():
            self._import(segment)
        while not self._stopping.wait(IMPORT_EVERY_S):
            if time.monotonic() >= self._not_before:
                self._import_own()
            self._spool.measure()
            self._besides()
        self._import_own()

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
        if self._kept or not self._retention.due(time.monotonic()) or not self._path.is_file():
            return
        try:
            with contextlib.closing(connect(self._path)) as database:
                self._retention.step(database, time.monotonic(), time.time())
        except (sqlite3.Error, OSError) as error:
            log.error("expired records could not be deleted: %s", error)
            self._wait()

    def _wait(self) -> None:
        self._pause_s = min(max(2 * self._pause_s, IMPORT_EVERY_S), LONGEST_PAUSE_S)
        self._not_before = time.monotonic() + self._pause_s

    def _import(self, segment: Path, rows: Iterable[Row] | None = None) -> bool:
        """Import a segment; `rows` saves reading them back. A segment that cannot be imported now is retried later."""
        try:
            with contextlib.closing(connect(self._path)) as database:
                with database:
                    insert(database, _not_erased(database, _rows(segment) if rows is None else rows))
                self._retention.step(database, time.monotonic(), time.time())
            segment.unlink(missing_ok=True)
        except FileNotFoundError:
            pass  # a process that just started took it for an orphan and imported it
        except (sqlite3.Error, OSError) as error:
            log.error("records stay in %s: %s", segment, error)
            self._kept.append(segment)
            self._wait()
            return False
        self._pause_s = 0.0
        return True


def spool_of(path: Path) -> Path:
    return Path(f"{path}.spool")


def connect(path: Path) -> sqlite3.Connection:
    """Open the database, created if missing; several processes may write to it."""
    private_file.make(path)
    database = sqlite3.connect(path, timeout=30)
    try:
        return _prepared(database)
    except BaseException:
        database.close()
        raise


def _prepared(database: sqlite3.Connection) -> sqlite3.Connection:
    # Only effective before the first table exists; lets deletions return space to the disk.
    database.execute("PRAGMA auto_vacuum=INCREMENTAL")
    # Fetch the whole result: an unfinished statement keeps the transaction open.
    database.execute("PRAGMA journal_mode=WAL").fetchall()
    database.execute("PRAGMA synchronous=NORMAL")
    database.execute(f"PRAGMA journal_size_limit={LOG_BYTES}").fetchall()
    columns = _columns()
    database.execute(f"CREATE TABLE IF NOT EXISTS records ({', '.join(columns.values())})")
    database.execute("CREATE TABLE IF NOT EXISTS erased (key TEXT, user TEXT, at REAL NOT NULL)")
    present = {row[1] for row in database.execute("PRAGMA table_info(records)")}
    for name, definition in columns.items():
        if name not in present:
            database.execute(f"ALTER TABLE records ADD COLUMN {definition}")
    database.execute("CREATE INDEX IF NOT EXISTS records_request_id ON records (request_id)")
    database.execute("CREATE INDEX IF NOT EXISTS records_time ON records (time)")
    database.execute("CREATE INDEX IF NOT EXISTS records_refused ON records (time) WHERE deployment IS NULL")
    return database


def insert(database: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Insert many rows in one statement: between statements, the thread must compete for the interpreter lock."""
    one = f"({', '.join('?' * len(COLUMNS))})"
    rest = iter(rows)
    while some := list(islice(rest, ROWS_AT_ONCE)):
        sql = f"INSERT OR IGNORE INTO records ({', '.join(COLUMNS)}) VALUES {', '.join([one] * len(some))}"
        database.execute(sql, [value for row in some for value in row])


def _not_erased(database: sqlite3.Connection, rows: Iterable[Row]) -> Iterable[Row]:
    """The rows that no erasure covers: by key, by user, or by both, up to a time."""
    erased = database.execute("SELECT key, user, at FROM erased").fetchall()
    return (row for row in rows if not any(_is_of(row, *each) for each in erased)) if erased else rows


def _is_of(row: Row, key: str | None, user: str | None, until: float) -> bool:
    time = row[_TIME]
    of_user = user is None or user in (row[_USER], row[_UNIT])
    return (key is None or row[_KEY] == key) and of_user and isinstance(time, int | float) and time <= until


def _rows(segment: Path) -> Iterator[Row]:
    """The records of a segment. Skips a torn line (full disk, power failure): it was never acknowledged."""
    for line in segment.read_bytes().splitlines():
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError:
            row = None
        if isinstance(row, dict) and row.get("id") and all(map(_fits, row.values())):
            yield [row.get(name) for name in COLUMNS]
        else:
            log.warning("skipped a damaged record in %s", segment)


def _fits(value: Any) -> bool:
    """Whether SQLite can store the value: one it cannot would block the whole segment."""
    return value is None or type(value) in (str, float, bool) or (type(value) is int and -(2**63) <= value < 2**63)
