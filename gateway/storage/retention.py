"""Retention: deletes old or excess records in small steps, in the thread that imports records."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Select, delete, func, select, tuple_

from gateway.storage.database import Database
from gateway.storage.schema import outcomes, records

# Rows per step: it blocks other writers for a few milliseconds only.
ROWS = 500
CHECK_EVERY_S = 10.0
# Rows counted per step.
FEW = 10_000
# Refusals that reached no deployment go first: they cost a client almost nothing, and a flood of them must not evict
# answered requests. The rest goes oldest first.
_OLDEST = select(records.c.id).order_by(records.c.time)
_REFUSED = _OLDEST.where(records.c.deployment.is_(None))


@dataclass(frozen=True, slots=True)
class RetentionLimits:
    """Limits in seconds, rows and bytes; 0: unlimited."""

    age_s: float = 0.0
    rows: int = 0
    bytes: int = 0
    outcome_age_s: float = 0.0


class Retention:
    """Not thread-safe: call `due` and `step` from one thread."""

    def __init__(self, keep: RetentionLimits, database: Database) -> None:
        self._keep = keep
        self._database = database
        self._next = 0.0
        # When to look for rows that are too old again: they come with time, not with new rows.
        self._aged_at = 0.0
        # Excess rows at the last count; a count visits all rows, a deletion only a few.
        self._excess = 0
        self._count_at = 0.0

    def due(self, now: float) -> bool:
        """Whether a step is due without new records, at `now` of a monotonic clock."""
        return now >= self._next

    def step(self, connection: Connection, now: float, time: float) -> int:
        """Delete a few records, with their outcomes, or a few outcomes, in one transaction; returns how many. `time` is
        in seconds since 1970. Raises one of UNAVAILABLE.
        """
        gone = self._delete(connection, now, time)
        connection.commit()
        self._next = now if gone else now + CHECK_EVERY_S
        if gone:
            self._database.give_back(connection)
        return gone

    def _delete(self, connection: Connection, now: float, time: float) -> int:
        keep = self._keep
        if self._aged_at <= now:
            gone = self._expired(connection, time)
            if gone:
                return gone
            self._aged_at = now + min(CHECK_EVERY_S, keep.age_s or CHECK_EVERY_S, keep.outcome_age_s or CHECK_EVERY_S)
        if keep.rows and not self._excess and self._count_at <= now:
            count = connection.execute(select(func.count()).select_from(records)).scalar_one()
            self._excess = max(count - keep.rows, 0)
            self._count_at = now + (0.0 if self._excess or keep.rows < FEW else CHECK_EVERY_S)
        if self._excess:
            gone = _oldest(connection, min(self._excess, ROWS))
            self._excess = self._excess - gone if gone else 0
            return gone
        if keep.bytes and self._database.size(connection) > keep.bytes:
            return _oldest(connection, ROWS)
        return 0

    def _expired(self, connection: Connection, time: float) -> int:
        """Delete what is too old: records first, then outcomes."""
        keep = self._keep
        if keep.age_s:
            gone = _delete(connection, _OLDEST.where(records.c.time < time - keep.age_s), ROWS)
            if gone:
                return gone
        return _expire(connection, time - keep.outcome_age_s) if keep.outcome_age_s else 0


def _oldest(connection: Connection, most: int) -> int:
    gone = _delete(connection, _REFUSED, most)
    return gone + (_delete(connection, _OLDEST, most - gone) if gone < most else 0)


def _expire(connection: Connection, until: float) -> int:
    """Delete outcomes that are older than `until`."""
    key = outcomes.primary_key.columns
    old = select(*key).where(outcomes.c.time < until).order_by(outcomes.c.time).limit(ROWS)
    found = connection.execute(old.with_for_update(skip_locked=True)).all()
    if found:
        connection.execute(delete(outcomes).where(tuple_(*key).in_([tuple(row) for row in found])))
    return len(found)


def _delete(connection: Connection, which: Select[tuple[str]], most: int) -> int:
    # What another gateway is deleting just now is left to it.
    ids = connection.scalars(which.limit(most).with_for_update(skip_locked=True)).all()
    if ids:
        connection.execute(delete(outcomes).where(outcomes.c.id.in_(ids)))
        connection.execute(delete(records).where(records.c.id.in_(ids)))
    return len(ids)
