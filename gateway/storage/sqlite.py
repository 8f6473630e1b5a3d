"""A SQLite file; several processes of a host may write to it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from gateway.core import private_file
from gateway.storage.migrate import upgrade

LOG_BYTES = 16 * 1024 * 1024
# Pages returned to the disk in one step: it blocks other writers for a few milliseconds only.
PAGES = 500
_BEFORE_EACH_USE = (
    # Only effective before the first table exists; lets deletions return space to the disk.
    "PRAGMA auto_vacuum=INCREMENTAL",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    f"PRAGMA journal_size_limit={LOG_BYTES}",
)


class SqliteDatabase:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine: Engine | None = None

    def __str__(self) -> str:
        return str(self.path)

    @property
    def engine(self) -> Engine:
        if self._engine is None:
            url = URL.create("sqlite", database=str(self.path))
            self._engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": 30})
            event.listen(self._engine, "connect", _prepare)
            event.listen(self._engine, "begin", _begin)
        return self._engine

    def connect(self) -> Connection:
        private_file.make(self.path)
        inode = self.path.stat().st_ino
        connection = self.engine.connect()
        try:
            upgrade(connection)
        except BaseException:
            connection.close()
            raise
        connection.info["inode"] = inode
        return connection

    def exists(self) -> bool:
        return self.path.exists()

    def serves(self, connection: Connection) -> bool:
        """Not if the file was removed or replaced meanwhile: the connection would write into the one that is gone."""
        try:
            return bool(self.path.stat().st_ino == connection.info["inode"])
        except OSError:
            return False

    def size(self, connection: Connection) -> int:
        pages, free, page = (
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * page)

    def give_back(self, connection: Connection) -> None:
        self._outside_transactions(connection, f"PRAGMA incremental_vacuum({PAGES})")

    def overwrite_deleted(self, connection: Connection) -> None:
        self._outside_transactions(connection, "PRAGMA secure_delete=ON")

    def drop_log(self, connection: Connection) -> None:
        self._outside_transactions(connection, "PRAGMA wal_checkpoint(TRUNCATE)")

    def _outside_transactions(self, connection: Connection, statement: str) -> None:
        """As a script: `execute` would stop after a single page of a vacuum."""
        try:
            connection.connection.cursor().executescript(statement)
        except sqlite3.Error as error:
            raise OSError(f"{self.path}: {error}") from error


def _prepare(opened: Any, _: object) -> None:
    opened.isolation_level = None  # `_begin` begins transactions, and the driver none of its own
    for statement in _BEFORE_EACH_USE:
        # Fetch the whole result: an unfinished statement keeps the transaction open.
        opened.execute(statement).fetchall()


def _begin(connection: Connection) -> None:
    """Writers lock at once: one that has read before it writes could not wait for another writer any more."""
    reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
