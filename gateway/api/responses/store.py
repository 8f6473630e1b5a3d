"""Finished responses, for as long as there is room: in SQLite, shared by all the workers of a host.

It is bounded in number, in bytes and in age since the last use; what was not used for the longest time goes first. A
response that is asked for is used, and so is every one before it in its conversation.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import orjson

from gateway import private_file
from gateway.api.responses.errors import StoreUnavailable
from gateway.api.responses.ids import is_response_id
from gateway.api.responses.turn import Turn
from gateway.errors import ConfigError, InvalidRequest

log = logging.getLogger("thinkgate")
T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS responses (
    id TEXT PRIMARY KEY, key TEXT NOT NULL, root TEXT NOT NULL, previous TEXT, used REAL NOT NULL,
    bytes INTEGER NOT NULL, input BLOB NOT NULL, response BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS responses_used ON responses (used, bytes);
CREATE TABLE IF NOT EXISTS kept (one INTEGER PRIMARY KEY CHECK (one = 1), items INTEGER, bytes INTEGER);
INSERT OR IGNORE INTO kept VALUES (1, 0, 0);
CREATE TRIGGER IF NOT EXISTS came AFTER INSERT ON responses
    BEGIN UPDATE kept SET items = items + 1, bytes = bytes + new.bytes; END;
CREATE TRIGGER IF NOT EXISTS went AFTER DELETE ON responses
    BEGIN UPDATE kept SET items = items - 1, bytes = bytes - old.bytes; END;
"""
# The conversation that ends in a response, the latest turn first, without what was said in it.
_CHAIN = """
WITH RECURSIVE chain (id, previous, bytes, depth) AS (
    SELECT id, previous, bytes, 0 FROM responses WHERE id = :id AND key = :key AND used >= :oldest
    UNION ALL
    SELECT r.id, r.previous, r.bytes, c.depth + 1 FROM responses r JOIN chain c ON r.id = c.previous
    WHERE r.key = :key AND r.used >= :oldest)
SELECT id, previous, bytes FROM chain ORDER BY depth LIMIT :most
"""
_USE = "UPDATE responses SET used = ? WHERE id = ? AND key = ? AND used >= ? RETURNING bytes"
BUSY_S, RETRY_S = 10, 0.02


@dataclass(frozen=True, slots=True)
class Bounds:
    """With room for no `items`, nothing is kept. `history_bytes` is the longest conversation that is taken up again."""

    items: int
    bytes: int
    age_s: float
    history_bytes: int


class ResponseStore:
    """Every method but `open` and `close` works in a thread: another worker may be writing, and is waited for.

    `key` is the id of the API key that a response was made with; None where none is asked for. With another key there
    is no such response. StoreUnavailable: the disk refuses, or another worker takes too long.
    """

    def __init__(self, path: Path, bounds: Bounds, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._bounds = bounds
        self._clock = clock
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None

    def open(self) -> None:
        """ConfigError: the database cannot be used."""
        if not self._bounds.items:
            return
        give_up = time.monotonic() + BUSY_S
        try:
            # What was said is in it: for nobody else on this machine to read.
            private_file.make(self._path)
            while True:
                try:
                    self._database = self._connect()
                    return
                except sqlite3.OperationalError as error:
                    # Workers that start together are in each other's way, and SQLite itself does not wait for that.
                    if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                        raise
                    time.sleep(RETRY_S)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError([f"responses.path: {self._path} cannot be used: {error}"]) from error

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode=WAL").fetchall()
            database.execute("PRAGMA synchronous=NORMAL")
            database.execute("PRAGMA secure_delete=ON").fetchall()  # deleted is gone, not just forgotten
            database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
            database.execute("DELETE FROM responses WHERE used < ?", (self._oldest(),))
        except sqlite3.Error:
            database.close()
            raise
        return database

    def close(self) -> None:
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    async def put(self, turn: Turn, key: str | None) -> bool:
        """Whether it is kept: not if it is larger than all there is room for, nor if the store is unavailable."""

        def put(database: sqlite3.Connection) -> bool:
            told, answered = orjson.dumps(turn.input), orjson.dumps(turn.response)
            size = len(told) + len(answered)
            if size > self._bounds.bytes:
                return False
            row = (turn.id, key or "", turn.root, turn.previous, self._clock(), size, told, answered)
            self._make_room(database, size)
            database.execute("INSERT INTO responses VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            return True

        if self._database is None:
            return False
        try:
            return await self._changing(put)
        except StoreUnavailable:
            return False

    async def history(self, id: str, key: str | None) -> list[Turn] | None:
        """The turns of the conversation up to this response, the first one first; None unless all of them are there.

        InvalidRequest: together they are too long to be read back.
        """

        def read(database: sqlite3.Connection) -> list[Turn] | None:
            known = {"id": id, "key": key or "", "oldest": self._oldest(), "most": self._bounds.items + 1}
            chain = database.execute(_CHAIN, known).fetchall()
            if not chain or chain[-1][1] is not None:
                return None
            self._check_length(sum(bytes for _, _, bytes in chain), "previous_response_id")
            now = self._clock()
            database.executemany("UPDATE responses SET used = ? WHERE id = ?", [(now, id) for id, _, _ in chain])
            return [_read(database, id) for id, _, _ in reversed(chain)]

        return await self._changing(read) if self._may_have(id) else None

    async def get(self, id: str, key: str | None) -> Turn | None:
        def read(database: sqlite3.Connection) -> Turn | None:
            return None if self._use(database, id, key) is None else _read(database, id)

        return await self._changing(read) if self._may_have(id) else None

    async def several(self, ids: Collection[str], key: str | None) -> list[Turn]:
        """Those of them that are there. InvalidRequest: together they are too long to be read back."""

        def read(database: sqlite3.Connection) -> list[Turn]:
            found, size = [], 0
            for id in filter(is_response_id, ids):
                used = self._use(database, id, key)
                if used is not None:
                    size += used
                    self._check_length(size, "input")
                    found.append(_read(database, id))
            return found

        return await self._changing(read) if ids and self._database is not None else []

    async def delete(self, id: str, key: str | None) -> bool:
        """Whether it was there."""

        def delete(database: sqlite3.Connection) -> bool:
            gone = database.execute("DELETE FROM responses WHERE id = ? AND key = ?", (id, key or ""))
            return gone.rowcount > 0

        return await self._changing(delete) if self._may_have(id) else False

    def _may_have(self, id: str) -> bool:
        return self._database is not None and is_response_id(id)

    def _use(self, database: sqlite3.Connection, id: str, key: str | None) -> int | None:
        """How many bytes it has; None if it is not there."""
        # All of the answer is taken: a statement that is not over keeps a transaction from being so.
        used = database.execute(_USE, (self._clock(), id, key or "", self._oldest())).fetchall()
        return used[0][0] if used else None

    def _check_length(self, size: int, param: str) -> None:
        if size > self._bounds.history_bytes:
            raise InvalidRequest(
                "What was said before is too long to be taken up again.", param=param, code="context_length_exceeded"
            )

    def _make_room(self, database: sqlite3.Connection, size: int) -> None:
        database.execute("DELETE FROM responses WHERE used < ?", (self._oldest(),))
        while True:
            items, bytes = database.execute("SELECT items, bytes FROM kept").fetchone()
            over = items - self._bounds.items + 1
            if over <= 0 and bytes + size <= self._bounds.bytes:
                return
            oldest = "SELECT id FROM responses ORDER BY used LIMIT ?"
            database.execute(f"DELETE FROM responses WHERE id IN ({oldest})", (max(over, 1),))

    def _oldest(self) -> float:
        """When a response must have been used to be still there."""
        return self._clock() - self._bounds.age_s

    async def _changing(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Do something in a transaction, in a thread."""

        def run() -> T:
            with self._lock:
                database = self._database
                assert database is not None, "it was opened before there were requests"
                database.execute("BEGIN IMMEDIATE")
                try:
                    result = change(database)
                except BaseException:
                    database.execute("ROLLBACK")
                    raise
                database.execute("COMMIT")
                return result

        try:
            return await asyncio.to_thread(run)
        except sqlite3.Error as error:
            log.error("responses cannot be kept, or read: %s", error)
            raise StoreUnavailable from error


def _read(database: sqlite3.Connection, id: str) -> Turn:
    with closing(
        database.execute("SELECT root, previous, input, response FROM responses WHERE id = ?", (id,))
    ) as found:
        root, previous, told, answered = found.fetchone()
    return Turn(id, root, previous, orjson.loads(told), orjson.loads(answered))
