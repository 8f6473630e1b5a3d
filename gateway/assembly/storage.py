"""Where records are kept: SQLite or PostgreSQL, behind the protocols of `gateway.storage.protocol`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.config import secret_values
from gateway.config.settings import Settings
from gateway.config.storage import RecordSettings
from gateway.storage.protocol import RecordArchive, RecordStore

if TYPE_CHECKING:
    from gateway.storage.database import Database

# Parts that need SQLAlchemy are imported where they are made: many commands do without, and start twice as fast.


def records(chosen: Settings, besides: Callable[[], None]) -> RecordStore:
    """For a process that serves; `besides` is done in the background each time that the store looks for records."""
    from gateway.storage.records import Records
    from gateway.storage.retention import RetentionLimits

    given = chosen.records
    keep = RetentionLimits(given.max_age_s, given.max_rows, given.max_bytes)
    return Records(_database(given), given.spool, besides, keep, given.max_spool_bytes)


def archive(chosen: Settings) -> RecordArchive:
    """For whoever looks after what is kept, while gateways go on writing to it. ConfigError: as for `records`."""
    from gateway.storage.archive import DatabaseArchive

    given = chosen.records
    return DatabaseArchive(_database(given), given.spool, local=not given.has_url)


def _database(given: RecordSettings) -> Database:
    from gateway.storage.postgres import PostgresDatabase
    from gateway.storage.sqlite import SqliteDatabase

    url = secret_values.records_url(given)
    return SqliteDatabase(given.path) if url is None else PostgresDatabase(url)
