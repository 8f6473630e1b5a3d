"""Erases or anonymises the stored data of a key or a user: records and responses.

Erasures are remembered, so that records still in a spool are not imported later.
"""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

from gateway.storage import records
from gateway.storage.subject import Subject

# Rows per transaction, so that requests can be recorded in between.
ROWS = 1000
_NOBODYS = "UPDATE records SET key = NULL, user = NULL, unit = NULL, request_id = '' WHERE rowid = ?"
_GONE = "DELETE FROM records WHERE rowid = ?"


def erase_records(path: Path, whose: Subject, anonymise: bool = False) -> int:
    """Delete the subject's records, or `anonymise` them; returns how many. sqlite3.Error, OSError: no access.

    Records of requests that began before now will not be imported later.
    """
    with closing(records.connect(path)) as database:
        database.execute("PRAGMA secure_delete=ON").fetchall()
        keys = {row[0] for row in database.execute("SELECT DISTINCT key FROM records")} | {None}
        hashes = whose.hashes(keys)
        with database:
            users: list[str] | list[None] = hashes or [None]
            rows = [(whose.key, user, time.time()) for user in users]
            database.executemany("INSERT INTO erased VALUES (?, ?, ?)", rows)
        where, given = _condition(whose, hashes)
        last = count = 0
        while True:
            sql = f"SELECT rowid FROM records WHERE rowid > ? AND {where} ORDER BY rowid LIMIT {ROWS}"
            found = database.execute(sql, (last, *given)).fetchall()
            if not found:
                break
            with database:
                database.executemany(_NOBODYS if anonymise else _GONE, found)
            last, count = found[-1][0], count + len(found)
        # Deleted rows must not linger in the write-ahead log either; a concurrent reader may delay that.
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return count


def _condition(whose: Subject, hashes: list[str]) -> tuple[str, list[str]]:
    of_key = "key = ?" if whose.key is not None else "1"
    given = [whose.key] if whose.key is not None else []
    if not hashes:
        return of_key, given
    marks = ", ".join("?" * len(hashes))
    return f"{of_key} AND (user IN ({marks}) OR unit IN ({marks}))", [*given, *hashes, *hashes]
