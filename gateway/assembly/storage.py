"""Builds the stores of records, in SQLite or PostgreSQL."""

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
    """The store of a serving process; it calls `besides` in the background each time that it collects records."""
    from gateway.storage.records import Records
    from gateway.storage.redaction import Redaction
    from gateway.storage.retention import RetentionLimits

    given = chosen.records
    keep = RetentionLimits(given.max_age_s, given.max_rows, given.max_bytes, given.max_outcome_age_s)
    return Records(_database(given), given.spool, besides, keep, given.max_spool_bytes, Redaction(given.redact))


def archive(chosen: Settings) -> RecordArchive:
    """The stored records, for commands and operators; usable while gateways write. ConfigError: as for `records`."""
    from gateway.storage.archive import DatabaseArchive

    given = chosen.records
    return DatabaseArchive(_database(given), given.spool, local=not given.has_url)


def _database(given: RecordSettings) -> Database:
    from gateway.storage.postgres import PostgresDatabase
    from gateway.storage.sqlite import SqliteDatabase

    url = secret_values.records_url(given)
    return SqliteDatabase(given.path) if url is None else PostgresDatabase(url)
