"""Where records are kept: SQLite, behind the protocols of `gateway.storage.protocol`."""

from __future__ import annotations

from collections.abc import Callable

from gateway.config.settings import Settings
from gateway.storage.protocol import RecordArchive, RecordStore
from gateway.storage.records import Records
from gateway.storage.retention import RetentionLimits
from gateway.storage.sqlite_archive import SqliteArchive


def records(chosen: Settings, besides: Callable[[], None]) -> RecordStore:
    """For a process that serves; `besides` is done in the background each time that the store looks for records."""
    given = chosen.records
    keep = RetentionLimits(given.max_age_s, given.max_rows, given.max_bytes)
    return Records(given.path, besides, keep, given.max_spool_bytes)


def archive(chosen: Settings) -> RecordArchive:
    """For whoever looks after what is kept, while gateways go on writing to it."""
    return SqliteArchive(chosen.records.path)
