"""Erases or anonymises the stored data of a key or a user: records with their outcomes.

Erasures are remembered, so that rows still in a spool are not imported later.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing

from sqlalchemy import ColumnElement, Connection, Table, delete, or_, select, true, update

from gateway.storage.database import Database
from gateway.storage.schema import erased, outcomes, records
from gateway.storage.subject import Subject

# Rows per transaction, so that requests can be recorded in between.
ROWS = 1000
# What says whose a row is, or may say it.
_NOBODYS: dict[Table, dict[str, str | None]] = {
    records: {
        **dict.fromkeys(("key", "user", "unit", "session", "answer_id", "features")),
        "request_id": "",
    },
    outcomes: {"key": None, "user": None, "unit": None, "label": None, "comment": None},
}


def erase_records(database: Database, whose: Subject, anonymise: bool = False) -> int:
    """Delete the subject's records, or `anonymise` them; returns how many. Raises one of UNAVAILABLE.

    Records of requests that began before now will not be imported later.
    """
    with closing(database.connect()) as connection:
        database.overwrite_deleted(connection)
        keys = {*connection.scalars(select(records.c.key).distinct())} | {None}
        hashes = whose.hashes(keys)
        users: list[str] | list[None] = hashes or [None]
        connection.execute(erased.insert(), [{"key": whose.key, "user": user, "at": time.time()} for user in users])
        connection.commit()
        _erase(connection, outcomes, whose.key, hashes, anonymise)
        count = _erase(connection, records, whose.key, hashes, anonymise)
        # Deleted rows must not linger in the write-ahead log either; a concurrent reader may delay that.
        database.drop_log(connection)
        return count


def _erase(connection: Connection, table: Table, key: str | None, hashes: list[str], anonymise: bool) -> int:
    last, count = "", 0
    while True:
        found = select(table.c.id).distinct().where(table.c.id > last, _condition(table, key, hashes))
        ids: Sequence[str] = connection.scalars(found.order_by(table.c.id).limit(ROWS)).all()
        if not ids:
            connection.commit()
            return count
        those = table.c.id.in_(ids)
        connection.execute(
            update(table).where(those).values(_NOBODYS[table]) if anonymise else delete(table).where(those)
        )
        connection.commit()
        last, count = ids[-1], count + len(ids)


def _condition(table: Table, key: str | None, hashes: list[str]) -> ColumnElement[bool]:
    of_key = table.c.key == key if key is not None else true()
    return of_key & or_(table.c.user.in_(hashes), table.c.unit.in_(hashes)) if hashes else of_key
