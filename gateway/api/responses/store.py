"""Finished responses, for as long as there is room: in SQLite, shared by all the workers of a host.

It is bounded in number, in bytes, in age since the last use and in the share of one key; what was not used for the
longest time goes first, of the key that has most. A response that is asked for is used, and those before it in its
conversation stay with it.
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

from gateway.api.responses import shelf
from gateway.api.responses.errors import StoreUnavailable
from gateway.api.responses.ids import is_response_id
from gateway.api.responses.shelf import NoShareLeft, Shares, StoredResponse
from gateway.api.responses.turn import Turn
from gateway.config.settings import Settings
from gateway.core import private_file
from gateway.core.errors import ConfigError, InvalidRequest
from gateway.storage.subject import Subject

log = logging.getLogger("thinkgate")
T = TypeVar("T")

BUSY_S, RETRY_S = 10, 0.02


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """With room for no `items`, nothing is kept. `key_share` of that room is the most that one API key may have.

    `history_bytes` and `history_turns` are the longest conversation that is taken up again.
    """

    items: int
    bytes: int
    age_s: float
    history_bytes: int
    history_turns: int = 1000
    key_share: float = 1.0

    def room(self, key: str) -> tuple[Shares, Shares]:
        """Of all together, and of this key; where no keys are asked for, nobody has a share."""
        share = self.key_share if key else 1.0
        return Shares(self.items, self.bytes), Shares(max(int(self.items * share), 1), int(self.bytes * share))


class ResponseStore:
    """Every method but `open` and `close` works in a thread: another worker may be writing, and is waited for.

    `key` is the id of the API key that a response was made with; None where none is asked for. With another key there
    is no such response. StoreUnavailable: the disk refuses, or another worker takes too long.
    """

    def __init__(self, path: Path, bounds: StoreLimits, clock: Callable[[], float] = time.time) -> None:
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
            shelf.prepare(database)
            shelf.expire(database, self._oldest())
        except sqlite3.Error:
            database.close()
            raise
        return database

    def close(self) -> None:
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    async def put(self, turn: Turn, key: str | None, user: str | None = None) -> bool:
        """Whether it is kept: not if it is larger than all there is room for, nor if the store is unavailable.

        `user` is what a record keeps of the user it is for, to find it by.
        """

        def put(database: sqlite3.Connection) -> bool:
            owner = key or ""
            all, own = self._bounds.room(owner)
            if shelf.add(database, turn, owner, user, self._clock()) > own.bytes:
                raise NoShareLeft
            shelf.make_room(database, turn.id, owner, all, own)
            return True

        if self._database is None:
            return False
        try:
            return await self._changing(put)
        except (StoreUnavailable, NoShareLeft):
            return False

    async def history(self, id: str, key: str | None) -> list[Turn] | None:
        """The turns of the conversation up to this response, the first one first; None unless all of them are there.

        InvalidRequest: together they are too long to be read back.
        """

        def read(database: sqlite3.Connection) -> list[Turn] | None:
            found = self._use(database, id, key)
            if found is None:
                return None
            most = self._bounds.history_turns
            if found.depth > most:
                said = f"The conversation has {found.depth} responses, and at most {most} can be continued"
                raise _too_long(f"{said}: begin a new one.", "previous_response_id")
            self.check_length(found.chain_bytes, "previous_response_id")
            ids = shelf.chain(database, id, key or "", most)
            return None if ids is None else [shelf.read(database, each) for each in ids]

        return await self._changing(read) if self._may_have(id) else None

    async def get(self, id: str, key: str | None) -> Turn | None:
        def read(database: sqlite3.Connection) -> Turn | None:
            return None if self._use(database, id, key) is None else shelf.read(database, id)

        return await self._changing(read) if self._may_have(id) else None

    async def several(self, ids: Collection[str], key: str | None) -> list[Turn]:
        """Those of them that are there. InvalidRequest: together they are too long to be read back."""

        def read(database: sqlite3.Connection) -> list[Turn]:
            turns, size = [], 0
            for id in filter(is_response_id, ids):
                found = self._use(database, id, key)
                if found is not None:
                    size += found.bytes
                    self.check_length(size, "input")
                    turns.append(shelf.read(database, id))
            return turns

        return await self._changing(read) if ids and self._database is not None else []

    async def delete(self, id: str, key: str | None) -> bool:
        """Whether it was there. What later responses go on from is kept for them alone, until they go, too."""

        def delete(database: sqlite3.Connection) -> bool:
            there = shelf.find(database, id, key or "", deleted=False) is not None
            if there:
                shelf.delete(database, id)
            return there

        return await self._changing(delete) if self._may_have(id) else False

    def _may_have(self, id: str) -> bool:
        return self._database is not None and is_response_id(id)

    def _use(self, database: sqlite3.Connection, id: str, key: str | None) -> StoredResponse | None:
        found = shelf.find(database, id, key or "", deleted=False)
        if found is not None:
            shelf.use(database, id, self._clock())
        return found

    def check_length(self, size: int, param: str) -> None:
        """InvalidRequest: it is more than may be read back for one request."""
        if size > self._bounds.history_bytes:
            raise _too_long("The previous conversation is too long to be continued.", param)

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
                    shelf.expire(database, self._oldest())
                    result = change(database)
                except BaseException:
                    database.execute("ROLLBACK")
                    raise
                database.execute("COMMIT")
                return result

        try:
            return await asyncio.to_thread(run)
        except sqlite3.Error as error:
            log.error("cannot store or read responses: %s", error)
            raise StoreUnavailable from error


def response_store(settings: Settings) -> ResponseStore:
    given = settings.responses
    bounds = StoreLimits(
        items=given.max_items if given.store else 0,
        bytes=given.max_bytes,
        age_s=given.max_age_s,
        history_bytes=settings.server.max_body_bytes,
        history_turns=given.max_turns,
        key_share=given.max_share_per_key,
    )
    return ResponseStore(settings.responses_path, bounds)


def erase(path: Path, whose: Subject) -> int:
    """How many responses went, from a store that others may have open. sqlite3.Error: it is out of reach."""
    with closing(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)) as database:
        database.execute("PRAGMA secure_delete=ON").fetchall()
        shelf.prepare(database)
        database.execute("BEGIN IMMEDIATE")
        keys = {key or None for (key,) in database.execute("SELECT key FROM tenants")}
        gone = shelf.erase(database, whose.key, whose.hashes(keys) if whose.user is not None else None)
        database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return gone


def _too_long(message: str, param: str) -> InvalidRequest:
    return InvalidRequest(message, param=param, code="context_length_exceeded")
