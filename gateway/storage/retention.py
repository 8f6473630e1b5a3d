"""Retention: deletes old or excess records in small steps, in the thread that imports records."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

# Rows and freed pages per step: it blocks other writers for a few milliseconds only.
ROWS, PAGES = 500, 500
CHECK_EVERY_S = 10.0
# Rows counted per step.
FEW = 10_000
# Refusals that reached no deployment go first: they cost a client almost nothing, and a flood of them must not evict
# answered requests. The rest goes oldest first.
_REFUSED = "SELECT rowid FROM records WHERE deployment IS NULL ORDER BY time LIMIT ?"
_OLDEST = "SELECT rowid FROM records ORDER BY time LIMIT ?"
_OLDER = "SELECT rowid FROM records WHERE time < ? ORDER BY time LIMIT ?"


@dataclass(frozen=True, slots=True)
class RetentionLimits:
    """Limits in seconds, rows and bytes; 0: unlimited."""

    age_s: float = 0.0
    rows: int = 0
    bytes: int = 0


class Retention:
    """Not thread-safe: call `due` and `step` from one thread."""

    def __init__(self, keep: RetentionLimits) -> None:
        self._keep = keep
        self._next = 0.0
        # Excess rows at the last count; a count visits all rows, a deletion only a few.
        self._excess = 0
        self._count_at = 0.0

    def due(self, now: float) -> bool:
        """Whether a step is due without new records, at `now` of a monotonic clock."""
        return now >= self._next

    def step(self, database: sqlite3.Connection, now: float, time: float) -> int:
        """Delete a few rows in one transaction; returns how many. `time` is in seconds since 1970."""
        with database:
            gone = self._delete(database, now, time)
        self._next = now if gone else now + CHECK_EVERY_S
        if gone:
            # As a script: `execute` would stop after a single page.
            database.executescript(f"PRAGMA incremental_vacuum({PAGES})")
        return gone

    def _delete(self, database: sqlite3.Connection, now: float, time: float) -> int:
        keep = self._keep
        if keep.age_s:
            gone = _delete(database, _OLDER, time - keep.age_s, ROWS)
            if gone:
                return gone
        if keep.rows and not self._excess and self._count_at <= now:
            self._excess = max(database.execute("SELECT count(*) FROM records").fetchone()[0] - keep.rows, 0)
            self._count_at = now + (0.0 if self._excess or keep.rows < FEW else CHECK_EVERY_S)
        if self._excess:
            gone = _oldest(database, min(self._excess, ROWS))
            self._excess = self._excess - gone if gone else 0
            return gone
        if keep.bytes and size(database) > keep.bytes:
            return _oldest(database, ROWS)
        return 0


def size(database: sqlite3.Connection) -> int:
    """The bytes in use."""
    pages, free, page = (
        database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * page)


def _oldest(database: sqlite3.Connection, most: int) -> int:
    gone = _delete(database, _REFUSED, most)
    return gone + (_delete(database, _OLDEST, most - gone) if gone < most else 0)


def _delete(database: sqlite3.Connection, which: str, *given: float) -> int:
    return database.execute(f"DELETE FROM records WHERE rowid IN ({which})", given).rowcount
