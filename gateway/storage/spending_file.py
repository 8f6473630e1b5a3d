"""The spending of budgets in a SQLite file, which all processes of a host share and every restart finds again.

If the file cannot be used, the log says so, and each process goes on with what it knows itself.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, fields
from pathlib import Path

from gateway.core import private_file
from gateway.core.errors import ConfigError
from gateway.routing.prices.spending_book import NOTHING, Entry, MemoryBook, Reserved, Running, SpendingState

log = logging.getLogger("thinkgate")

# How long a change waits for those of other processes, which take microseconds.
PATIENCE_S = 1.0
# Scopes without a request for so long are removed at a start: no window is longer than a day.
IDLE_S = 2 * 86_400.0
_STATE = [one.name for one in fields(SpendingState)]
_COLUMNS = [f'"{name}"' for name in _STATE]
_TABLES = f"""
CREATE TABLE IF NOT EXISTS spending (scope TEXT PRIMARY KEY, {", ".join(f"{name} REAL" for name in _COLUMNS)});
CREATE TABLE IF NOT EXISTS reserved (
    scope TEXT, process INTEGER, mean REAL, square REAL, most REAL, PRIMARY KEY (scope, process)
) WITHOUT ROWID;
"""
_READ = f"SELECT {', '.join(_COLUMNS)} FROM spending WHERE scope = ?"
_OTHERS = "SELECT sum(mean), sum(square), sum(most) FROM reserved WHERE scope = ? AND process <> ?"
_WRITE = f"REPLACE INTO spending VALUES ({', '.join('?' * (len(_STATE) + 1))})"
_RESERVE = "REPLACE INTO reserved VALUES (?, ?, ?, ?, ?)"


class SpendingFile:
    """`process` tells the processes of a host apart: what those reserve that have died is released at a start."""

    def __init__(self, path: Path, now: float, process: int | None = None) -> None:
        """ConfigError: the file cannot be used. `now` is the wall clock, in seconds."""
        self._path = path
        self._process = os.getpid() if process is None else process
        self._running: dict[str, Running] = {}
        # What this process knows itself, should the file become unusable.
        self._own = MemoryBook()
        self._lock = threading.RLock()
        self._failed = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            private_file.make(path)
            self._database = sqlite3.connect(
                path, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False, cached_statements=16
            )
            self._database.execute("PRAGMA journal_mode=WAL").fetchall()
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.executescript(_TABLES)
            self._forget(now)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError([f"{path} cannot be used for what budgets have spent: {error}"]) from error

    def _forget(self, now: float) -> None:
        database = self._database
        database.execute('DELETE FROM spending WHERE "last" < ?', (now - IDLE_S,))
        for (process,) in database.execute("SELECT DISTINCT process FROM reserved").fetchall():
            if process == self._process or not _is_alive(process):
                database.execute("DELETE FROM reserved WHERE process = ?", (process,))

    def read(self, scope: str) -> Entry:
        with self._lock:
            try:
                return self._entry(scope)
            except sqlite3.Error as error:
                return self._fallback(scope, error)

    @contextmanager
    def change(self, scope: str) -> Iterator[Entry]:
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                entry = self._entry(scope)
            except sqlite3.Error as error:
                entry = self._fallback(scope, error)
            yield entry
            self._save(scope, entry)

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def _entry(self, scope: str) -> Entry:
        row = self._database.execute(_READ, (scope,)).fetchone()
        state = SpendingState() if row is None else SpendingState(*row)
        sums = self._database.execute(_OTHERS, (scope, self._process)).fetchone()
        others = NOTHING if sums[0] is None else Reserved(*sums)
        return Entry(state, self._running.setdefault(scope, Running()), others)

    def _save(self, scope: str, entry: Entry) -> None:
        own = self._own.read(scope).state
        for name in _STATE:
            setattr(own, name, getattr(entry.state, name))
        if not self._database.in_transaction:
            return
        try:
            self._database.execute(_WRITE, (scope, *astuple(entry.state)))
            self._database.execute(_RESERVE, (scope, self._process, *entry.running.total))
            self._database.execute("COMMIT")
            self._failed = False
        except sqlite3.Error as error:
            self._fallback(scope, error)

    def _fallback(self, scope: str, error: sqlite3.Error) -> Entry:
        """What this process knows itself; the log says why once, until the file is usable again."""
        if self._database_is_open():
            self._database.execute("ROLLBACK")
        if not self._failed:
            log.error("%s: %s; budgets go on with what this process has spent", self._path, error)
        self._failed = True
        return Entry(self._own.read(scope).state, self._running.setdefault(scope, Running()))

    def _database_is_open(self) -> bool:
        try:
            return self._database.in_transaction
        except sqlite3.Error:
            return False


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is there, and another user's
    return True
