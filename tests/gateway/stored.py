"""Reads the records database, also while a gateway is creating it; and opens record stores in a SQLite file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from gateway.storage.archive import DatabaseArchive
from gateway.storage.records import Records
from gateway.storage.sqlite import SqliteDatabase


def stored(path: Path, columns: str) -> list[tuple[Any, ...]]:
    """These columns of all rows in insertion order; empty while there is no table."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(path, timeout=30)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'records'").fetchall():
            return []
        return database.execute(f"SELECT {columns} FROM records ORDER BY rowid").fetchall()


def spool_of(path: Path) -> Path:
    return Path(f"{path}.spool")


def records_in(path: Path, **options: Any) -> Records:
    return Records(SqliteDatabase(path), spool_of(path), **options)


def archive_of(path: Path) -> DatabaseArchive:
    return DatabaseArchive(SqliteDatabase(path), spool_of(path))


def connect(path: Path) -> Connection:
    return SqliteDatabase(path).connect()
