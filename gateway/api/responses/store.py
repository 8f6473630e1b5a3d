"""A bounded store of finished responses in SQLite, shared by all workers of a host.

The number of responses, their bytes, their age since the last use and the share of each key are limited. The least
recently used response of the key that has most is evicted first. Reading a response counts as a use, and previous
responses of its conversation are kept with it.
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

from gateway.api.responses import tables
from gateway.api.responses.errors import StoreUnavailable
from gateway.api.responses.ids import is_response_id
from gateway.api.responses.tables import NoRoom, Room, StoredResponse
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
    """Limits of the whole store; 0 `items` disables it. Each API key may use at most the fraction `key_share` of them.

    Only conversations of at most `history_bytes` and `history_turns` can be continued.
    """

    items: int
    bytes: int
    age_s: float
    history_bytes: int
    history_turns: int = 1000
    key_share: float = 1.0

    def room(self, key: str) -> tuple[Room, Room]:
        """The room of all keys together, and of this one. Without API keys (`""`) the share does not apply."""
        share = self.key_share if key else 1.0
        return Room(self.items, self.bytes), Room(max(int(self.items * share), 1), int(self.bytes * share))


class ResponseStore:
    """All methods but `open` and `close` run in a thread, since they wait while another worker writes.

    `key` is the id of the API key that a response was created with (None: the gateway has no keys); other keys do not
    find it. StoreUnavailable: the database fails or stays locked for too long.
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
        deadline = time.monotonic() + BUSY_S
        try:
            # It holds conversations, so other users of this machine must not read it.
            private_file.make(self._path)
            while True:
                try:
                    self._database = self._connect()
                    return
                except sqlite3.OperationalError as error:
                    # Workers that start together block each other, and SQLite does not wait when switching to WAL.
                    if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                        raise
                    time.sleep(RETRY_S)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError([f"responses.path: {self._path} cannot be used: {error}"]) from error

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode=WAL").fetchall()
            database.execute("PRAGMA synchronous=NORMAL")
            database.execute("PRAGMA secure_delete=ON").fetchall()  # overwrite deleted content
            tables.prepare(database)
            tables.expire(database, self._oldest())
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
        """Whether it was stored: not if it is too large or if the store is unavailable.

        `user` is the pseudonym of the end user in records, by which the user's data can be erased.
        """

        def put(database: sqlite3.Connection) -> bool:
            owner = key or ""
            all, own = self._bounds.room(owner)
            if tables.add(database, turn, owner, user, self._clock()) > own.bytes:
                raise NoRoom
            tables.make_room(database, turn.id, owner, all, own)
            return True

        if self._database is None:
            return False
        try:
            return await self._transaction(put)
        except (StoreUnavailable, NoRoom):
            return False

    async def history(self, id: str, key: str | None) -> list[Turn] | None:
        """The turns of the conversation up to this response, oldest first; None if any is missing.

        InvalidRequest: the conversation is too long to be continued.
        """

        def read(database: sqlite3.Connection) -> list[Turn] | None:
            found = self._use(database, id, key)
            if found is None:
                return None
            most = self._bounds.history_turns
            if found.depth > most:
                limit = f"The conversation has {found.depth} responses, and at most {most} can be continued"
                raise _too_long(f"{limit}: begin a new one.", "previous_response_id")
            self.check_length(found.chain_bytes, "previous_response_id")
            ids = tables.chain(database, id, key or "", most)
            return None if ids is None else [tables.read(database, each) for each in ids]

        return await self._transaction(read) if self._may_exist(id) else None

    async def get(self, id: str, key: str | None) -> Turn | None:
        def read(database: sqlite3.Connection) -> Turn | None:
            return None if self._use(database, id, key) is None else tables.read(database, id)

        return await self._transaction(read) if self._may_exist(id) else None

    async def several(self, ids: Collection[str], key: str | None) -> list[Turn]:
        """Those of the responses that exist. InvalidRequest: together they are too large to be read."""

        def read(database: sqlite3.Connection) -> list[Turn]:
            turns, size = [], 0
            for id in filter(is_response_id, ids):
                found = self._use(database, id, key)
                if found is not None:
                    size += found.bytes
                    self.check_length(size, "input")
                    turns.append(tables.read(database, id))
            return turns

        return await self._transaction(read) if ids and self._database is not None else []

    async def delete(self, id: str, key: str | None) -> bool:
        """Whether it existed. It stays readable for later responses that continue it, until those are deleted."""

        def delete(database: sqlite3.Connection) -> bool:
            exists = tables.find(database, id, key or "", deleted=False) is not None
            if exists:
                tables.delete(database, id)
            return exists

        return await self._transaction(delete) if self._may_exist(id) else False

    def _may_exist(self, id: str) -> bool:
        return self._database is not None and is_response_id(id)

    def _use(self, database: sqlite3.Connection, id: str, key: str | None) -> StoredResponse | None:
        found = tables.find(database, id, key or "", deleted=False)
        if found is not None:
            tables.use(database, id, self._clock())
        return found

    def check_length(self, size: int, param: str) -> None:
        """InvalidRequest: it is more than may be read for one request."""
        if size > self._bounds.history_bytes:
            raise _too_long("The previous conversation is too long to be continued.", param)

    def _oldest(self) -> float:
        """The time of the last use before which responses expire."""
        return self._clock() - self._bounds.age_s

    async def _transaction(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Run `change` in a transaction, in a thread."""

        def run() -> T:
            with self._lock:
                database = self._database
                assert database is not None, "opened before the first request"
                database.execute("BEGIN IMMEDIATE")
                try:
                    tables.expire(database, self._oldest())
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


def erase(path: Path, subject: Subject) -> int:
    """Erase a subject's responses and return their number. Other processes may have the store open. sqlite3.Error: it
    cannot be used.
    """
    with closing(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)) as database:
        database.execute("PRAGMA secure_delete=ON").fetchall()
        tables.prepare(database)
        database.execute("BEGIN IMMEDIATE")
        keys = {key or None for (key,) in database.execute("SELECT key FROM tenants")}
        erased = tables.erase(database, subject.key, subject.hashes(keys) if subject.user is not None else None)
        database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return erased


def _too_long(message: str, param: str) -> InvalidRequest:
    return InvalidRequest(message, param=param, code="context_length_exceeded")
