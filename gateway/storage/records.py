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
# How long a database or a disk that refuses is left alone.
LONGEST_PAUSE_S = 5.0
SPOOL_BYTES, LOG_BYTES = 64 * 1024 * 1024, 16 * 1024 * 1024
COLUMNS = Record._fields
_KEY, _USER, _UNIT, _TIME = map(COLUMNS.index, ("key", "user", "unit", "time"))
_TYPES: dict[Any, str] = {
    **dict.fromkeys((int, int | None, bool, bool | None), "INTEGER"),
    **dict.fromkeys((float, float | None), "REAL"),
}


def _columns() -> dict[str, str]:
    """Each column's name and definition."""
    kinds = {name: _TYPES.get(kind, "TEXT") for name, kind in get_type_hints(Record).items()}
    return {name: f"{name} {kind}" + (" PRIMARY KEY" if name == "id" else "") for name, kind in kinds.items()}


class Records:
    """`write` makes a record safe before it returns; the table follows within a fraction of a second.

    Call `start` before the first write and `stop` after the last. A record imported twice is one row: ids are unique.
    """

    def __init__(
        self,
        path: Path,
        besides: Callable[[], None] = lambda: None,
        keep: RetentionLimits | None = None,
        spool_bytes: int = SPOOL_BYTES,
    ) -> None:
        """`besides` is done in the background, too, each time that records are looked for. `keep` says how many and
        how long (all, for ever, if left out), `spool_bytes` how much may wait to reach the table: what comes beyond
        that is lost.
        """
        self._path = path
        self._besides = besides
        self._retention = Retention(keep or RetentionLimits())
        self._spool = Spool(spool_of(path), spool_bytes)
        self._not_before = self._pause_s = 0.0
        # Segments that could not be imported yet. Should this process die first, the next one finds them.
        self._kept: list[Path] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="records", daemon=True)

    @property
    def lost(self) -> int:
        """Records that could not be written, since the start."""
        return self._spool.lost

    def start(self) -> None:
        self._thread.start()

    def write(self, record: Record) -> None:
        self._spool.append(orjson.dumps(dict(zip(COLUMNS, record, strict=True))), record)

    def stop(self) -> None:
        """Import what is left and let go of the files."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._spool.close()

    def _run(self) -> None:
        """First the records of those who died, then our own as they come.

        It looks for them by itself: to wake it would cost every request a system call and a fight for the interpreter.
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
        """A database or a disk that refuses is tried again after a pause that grows, and then all that waits."""
        try:
            full = self._spool.rotate()
        except OSError as error:  # no room for a new segment: the old one goes on
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
        """One small step of retention, if none was made with what came and it is time for one."""
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
        """A segment's rows, read from it if not given. One that cannot be imported now is kept for a better time."""
        try:
            with contextlib.closing(connect(self._path)) as database:
                with database:
                    insert(database, _not_erased(database, _rows(segment) if rows is None else rows))
                self._retention.step(database, time.monotonic(), time.time())
            segment.unlink(missing_ok=True)
        except FileNotFoundError:
            pass  # another process, just started, took it for an orphan and imported it
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
    """The database, made if need be; many processes may write to it."""
    private_file.make(path)
    database = sqlite3.connect(path, timeout=30)
    try:
        return _prepared(database)
    except BaseException:
        database.close()
        raise


def _prepared(database: sqlite3.Connection) -> sqlite3.Connection:
    # Only of use before there is a table; then what is deleted gives its room back to the disk.
    database.execute("PRAGMA auto_vacuum=INCREMENTAL")
    # All of its answer is taken: a statement that is not over keeps a transaction from being so.
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
    """Many rows in one statement: between two statements a thread has to win the interpreter back from the requests."""
    one = f"({', '.join('?' * len(COLUMNS))})"
    rest = iter(rows)
    while some := list(islice(rest, ROWS_AT_ONCE)):
        sql = f"INSERT OR IGNORE INTO records ({', '.join(COLUMNS)}) VALUES {', '.join([one] * len(some))}"
        database.execute(sql, [value for row in some for value in row])


def _not_erased(database: sqlite3.Connection, rows: Iterable[Row]) -> Iterable[Row]:
    """Those that were not erased before they got here: by key, by user, or by both, up to a time."""
    erased = database.execute("SELECT key, user, at FROM erased").fetchall()
    return (row for row in rows if not any(_is_of(row, *each) for each in erased)) if erased else rows


def _is_of(row: Row, key: str | None, user: str | None, until: float) -> bool:
    time = row[_TIME]
    of_user = user is None or user in (row[_USER], row[_UNIT])
    return (key is None or row[_KEY] == key) and of_user and isinstance(time, int | float) and time <= until


def _rows(segment: Path) -> Iterator[Row]:
    """The records of a segment. A line cut short by a full disk or a power failure was never acknowledged: skipped."""
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
    """Whether the database can hold it: one that it cannot would keep all the others of its segment out."""
    return value is None or type(value) in (str, float, bool) or (type(value) is int and -(2**63) <= value < 2**63)
