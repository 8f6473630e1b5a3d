"""What is kept of a key or of a user is removed, or told of nobody any more: records, and responses that go on.

Records that were not in the table yet are remembered and not taken into it, wherever they still lie.
"""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

from gateway.storage import records
from gateway.storage.subject import Subject

# Rows of one transaction: requests are recorded between them.
ROWS = 1000
_NOBODYS = "UPDATE records SET key = NULL, user = NULL, unit = NULL, request_id = '' WHERE rowid = ?"
_GONE = "DELETE FROM records WHERE rowid = ?"


def erase_records(path: Path, whose: Subject, anonymise: bool = False) -> int:
    """How many records were removed; `anonymise`: kept, as of nobody. sqlite3.Error, OSError: it is out of reach.

    Records of requests that began before now and reach the table later are left out of it.
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
        # What was deleted is not to linger in the log either; a reader that is in the way delays that.
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return count


def _condition(whose: Subject, hashes: list[str]) -> tuple[str, list[str]]:
    of_key = "key = ?" if whose.key is not None else "1"
    given = [whose.key] if whose.key is not None else []
    if not hashes:
        return of_key, given
    marks = ", ".join("?" * len(hashes))
    return f"{of_key} AND (user IN ({marks}) OR unit IN ({marks}))", [*given, *hashes, *hashes]
