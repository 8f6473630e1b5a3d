"""One row per request in SQLite, filled in the background from the spool."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import orjson

from gateway.spool import Spool
from gateway.types import Record

log = logging.getLogger("thinkgate")

IMPORT_EVERY_S = 0.2
COLUMNS = tuple(field.name for field in fields(Record))
_TYPES = {"int | None": "INTEGER", "int": "INTEGER", "bool": "INTEGER", "float": "REAL", "float | None": "REAL"}


def _column(field: Field[Any]) -> str:
    return f"{field.name} {_TYPES.get(str(field.type), 'TEXT')}" + (" PRIMARY KEY" if field.name == "id" else "")


def _schema() -> str:
    return f"CREATE TABLE IF NOT EXISTS records ({', '.join(_column(field) for field in fields(Record))})"


class Records:
    """`write` makes a record safe before it returns; the table follows within a fraction of a second.

    Call `start` before the first write and `stop` after the last. A record imported twice is one row: ids are unique.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._spool = Spool(Path(f"{path}.spool"))
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="records", daemon=True)

    @property
    def lost(self) -> int:
        """Records that could not be written, since the start."""
        return self._spool.lost

    def start(self) -> None:
        self._thread.start()

    def write(self, record: Record) -> None:
        self._spool.append(orjson.dumps(record))
        self._wake.set()

    def stop(self) -> None:
        """Import what is left and let go of the files."""
        self._stopping.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._spool.close()

    def _run(self) -> None:
        """First the records of those who died, then our own as they come."""
        self._attempt(self._spool.orphans())
        while not self._stopping.is_set():
            self._wake.wait()
            self._wake.clear()
            self._attempt(self._full())
            self._stopping.wait(IMPORT_EVERY_S)
        self._attempt(self._full())

    def _full(self) -> Iterator[Path]:
        full = self._spool.rotate()
        if full is not None:
            yield full

    def _attempt(self, segments: Iterator[Path]) -> None:
        """Import segments; one that cannot be imported now stays where it is, for the next start."""
        for segment in segments:
            try:
                self._import(segment)
            except FileNotFoundError:
                continue  # another process, just started, took it for an orphan and imported it
            except (sqlite3.Error, OSError) as error:
                log.error("records stay in %s: %s", segment, error)

    def _import(self, segment: Path) -> None:
        rows = list(_rows(segment))
        with contextlib.closing(connect(self._path)) as database, database:
            insert(database, rows)
        segment.unlink(missing_ok=True)


def connect(path: Path) -> sqlite3.Connection:
    """The database, made if need be; many processes may write to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, timeout=30)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    database.execute(_schema())
    present = {row[1] for row in database.execute("PRAGMA table_info(records)")}
    for field in fields(Record):
        if field.name not in present:
            database.execute(f"ALTER TABLE records ADD COLUMN {_column(field)}")
    database.execute("CREATE INDEX IF NOT EXISTS records_request_id ON records (request_id)")
    database.execute("CREATE INDEX IF NOT EXISTS records_time ON records (time)")
    return database


def insert(database: sqlite3.Connection, rows: Iterable[dict[str, Any]]) -> None:
    marks = ", ".join("?" * len(COLUMNS))
    values = ([row.get(name) for name in COLUMNS] for row in rows)
    database.executemany(f"INSERT OR IGNORE INTO records ({', '.join(COLUMNS)}) VALUES ({marks})", values)


def _rows(segment: Path) -> Iterator[dict[str, Any]]:
    """The records of a segment. A line cut short by a full disk or a power failure was never acknowledged: skipped."""
    for line in segment.read_bytes().splitlines():
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError:
            log.warning("skipped a damaged record in %s", segment)
            continue
        if isinstance(row, dict) and row.get("id"):
            yield row
