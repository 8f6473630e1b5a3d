"""The tables of the response store, and operations on them within a transaction.

`responses` has one row per turn, written once, with a link to the previous turn. `uses` has small rows that change:
when a turn was last used, and how many turns continue it. Only turns that no other continues are removed, so a stored
conversation never has gaps.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import NamedTuple

import orjson

from gateway.api.responses.turn import Turn
from gateway.core import large_json
from gateway.core.memory import LARGE_BLOCK

_SCHEMA = """
CREATE TABLE IF NOT EXISTS responses (
    id TEXT PRIMARY KEY, root TEXT NOT NULL, previous TEXT, input BLOB NOT NULL, response BLOB NOT NULL,
    unit TEXT);
CREATE TABLE IF NOT EXISTS uses (
    id TEXT PRIMARY KEY, key TEXT NOT NULL, user TEXT, previous TEXT, used REAL NOT NULL, bytes INTEGER NOT NULL,
    depth INTEGER NOT NULL, chain_bytes INTEGER NOT NULL, children INTEGER NOT NULL DEFAULT 0,
    deleted INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS uses_last ON uses (used) WHERE children = 0;
CREATE INDEX IF NOT EXISTS uses_last_of_key ON uses (key, used) WHERE children = 0;
CREATE INDEX IF NOT EXISTS uses_of_user ON uses (user) WHERE user IS NOT NULL;
CREATE TABLE IF NOT EXISTS kept (one INTEGER PRIMARY KEY CHECK (one = 1), items INTEGER, bytes INTEGER);
INSERT OR IGNORE INTO kept VALUES (1, 0, 0);
CREATE TABLE IF NOT EXISTS tenants (key TEXT PRIMARY KEY, items INTEGER, bytes INTEGER) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS came AFTER INSERT ON uses BEGIN
    UPDATE kept SET items = items + 1, bytes = bytes + new.bytes;
    INSERT INTO tenants VALUES (new.key, 1, new.bytes)
        ON CONFLICT (key) DO UPDATE SET items = items + 1, bytes = bytes + new.bytes;
END;
CREATE TRIGGER IF NOT EXISTS went AFTER DELETE ON uses BEGIN
    UPDATE kept SET items = items - 1, bytes = bytes - old.bytes;
    UPDATE tenants SET items = items - 1, bytes = bytes - old.bytes WHERE key = old.key;
    DELETE FROM tenants WHERE key = old.key AND items = 0;
END;
"""
# The turns of the conversation that ends in a response, latest first.
_CHAIN = """
WITH RECURSIVE chain (id, previous, depth) AS (
    SELECT id, previous, 0 FROM uses WHERE id = :id AND key = :key AND NOT deleted
    UNION ALL
    SELECT u.id, u.previous, c.depth + 1 FROM uses u JOIN chain c ON u.id = c.previous WHERE u.key = :key)
SELECT id, previous FROM chain ORDER BY depth LIMIT :most
"""
_LAST_OF_KEY = "SELECT id FROM uses WHERE children = 0 AND key = ? AND id <> ? ORDER BY used LIMIT 1"
_MOST = "SELECT key FROM tenants ORDER BY max(items * 1.0 / ?, bytes * 1.0 / ?) DESC LIMIT 1"


class Room(NamedTuple):
    items: int
    bytes: int

    def holds(self, used: tuple[int, int]) -> bool:
        return used[0] <= self.items and used[1] <= self.bytes


class StoredResponse(NamedTuple):
    """A stored turn without its contents: its bytes, and the turns and bytes of the conversation up to it."""

    bytes: int
    depth: int
    chain_bytes: int


class NoRoom(Exception):
    """A turn does not fit, even if everything else is evicted."""


def prepare(database: sqlite3.Connection) -> None:
    """Create missing tables. Those of earlier releases in another format are dropped."""
    database.execute("BEGIN IMMEDIATE")
    if database.execute("SELECT 1 FROM pragma_table_info('responses') WHERE name = 'used'").fetchone():
        database.execute("DROP TABLE responses")
        database.execute("DROP TABLE kept")
    database.execute("COMMIT")
    database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
    database.execute("BEGIN IMMEDIATE")
    if not database.execute("SELECT 1 FROM pragma_table_info('responses') WHERE name = 'unit'").fetchone():
        database.execute("ALTER TABLE responses ADD COLUMN unit TEXT")
    database.execute("COMMIT")


def add(database: sqlite3.Connection, turn: Turn, key: str, user: str | None, now: float) -> int:
    """Store a turn and return its size in bytes."""
    input, response = large_json.dumps(turn.input), large_json.dumps(turn.response)
    size = len(input) + len(response)
    before = find(database, turn.previous, key) if turn.previous is not None else None
    depth, chain = (1, size) if before is None else (before.depth + 1, before.chain_bytes + size)
    if size < LARGE_BLOCK:
        sql = "INSERT INTO responses VALUES (?, ?, ?, ?, ?, ?)"
        database.execute(sql, (turn.id, turn.root, turn.previous, input, response, turn.unit))
    else:
        # SQLite copies bound values several times; incremental writes avoid that.
        sql = "INSERT INTO responses VALUES (?, ?, ?, zeroblob(?), zeroblob(?), ?)"
        values = (turn.id, turn.root, turn.previous, len(input), len(response), turn.unit)
        row = database.execute(sql, values).lastrowid
        for column, value in (("input", input), ("response", response)):
            _write(database, column, row, value)
    database.execute(
        "INSERT INTO uses (id, key, user, previous, used, bytes, depth, chain_bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (turn.id, key, user, turn.previous, now, size, depth, chain),
    )
    if before is not None:
        database.execute("UPDATE uses SET children = children + 1 WHERE id = ?", (turn.previous,))
    return size


def find(database: sqlite3.Connection, id: str, key: str, deleted: bool = True) -> StoredResponse | None:
    """`deleted`: include deleted turns that are only kept since others continue them."""
    also = "" if deleted else " AND NOT deleted"
    sql = f"SELECT bytes, depth, chain_bytes FROM uses WHERE id = ? AND key = ?{also}"
    row = database.execute(sql, (id, key)).fetchone()
    return StoredResponse(*row) if row else None


def use(database: sqlite3.Connection, id: str, now: float) -> None:
    database.execute("UPDATE uses SET used = ? WHERE id = ?", (now, id))


def read(database: sqlite3.Connection, id: str) -> Turn:
    sql = (
        "SELECT rowid, root, previous, unit, length(input) + length(response),"
        " iif(length(input) < :most, input, NULL), iif(length(response) < :most, response, NULL)"
        " FROM responses WHERE id = :id"
    )
    with closing(database.execute(sql, {"id": id, "most": LARGE_BLOCK})) as found:
        row, root, previous, unit, size, *values = found.fetchone()
    input, response = (
        orjson.loads(_read(database, column, row) if value is None else value)
        for column, value in zip(("input", "response"), values, strict=True)
    )
    return Turn(id, root, previous, input, response, unit, size)


def _read(database: sqlite3.Connection, column: str, row: int) -> bytes:
    """Read a large value without a second copy."""
    with database.blobopen("responses", column, row, readonly=True) as blob:
        return blob.read()


def _write(database: sqlite3.Connection, column: str, row: int | None, value: bytes) -> None:
    assert row is not None, "the row was just inserted"
    with database.blobopen("responses", column, row) as blob:
        blob.write(value)


def chain(database: sqlite3.Connection, id: str, key: str, most: int) -> list[str] | None:
    """The ids of a conversation's turns, oldest first; None if any is missing."""
    rows = database.execute(_CHAIN, {"id": id, "key": key, "most": most}).fetchall()
    return [row[0] for row in reversed(rows)] if rows and rows[-1][1] is None else None


def delete(database: sqlite3.Connection, id: str) -> None:
    """Delete a turn for the client. If others continue it, it is only marked, and removed with the last of them."""
    (children,) = database.execute("UPDATE uses SET deleted = 1 WHERE id = ? RETURNING children", (id,)).fetchall()[0]
    if not children:
        remove(database, id)


def remove(database: sqlite3.Connection, id: str | None) -> None:
    """Remove a turn that no other continues, and previous deleted turns that were only kept for it."""
    while id is not None:
        database.execute("DELETE FROM responses WHERE id = ?", (id,))
        gone = database.execute("DELETE FROM uses WHERE id = ? RETURNING previous", (id,)).fetchall()
        previous = gone[0][0] if gone else None
        left = database.execute(
            "UPDATE uses SET children = children - 1 WHERE id = ? RETURNING children, deleted", (previous,)
        ).fetchall()
        id = previous if left and left[0] == (0, 1) else None


def expire(database: sqlite3.Connection, oldest: float) -> None:
    """Remove turns that were last used before `oldest`."""
    while True:
        ids = database.execute("SELECT id FROM uses WHERE children = 0 AND used < ?", (oldest,)).fetchall()
        if not ids:
            return
        for (id,) in ids:
            remove(database, id)


def make_room(database: sqlite3.Connection, new: str, key: str, all: Room, own: Room) -> None:
    """Evict turns until the limits hold, with the turn `new` of `key` already inserted. NoRoom: that is impossible.

    A key over its own room loses its least recently used turns. If the whole store is full, the key that uses most of
    it does, so that no key loses turns to another while it uses less than an equal share.
    """
    while not own.holds(database.execute("SELECT items, bytes FROM tenants WHERE key = ?", (key,)).fetchone()):
        _evict(database, key, new)
    while not all.holds(database.execute("SELECT items, bytes FROM kept").fetchone()):
        _evict(database, database.execute(_MOST, all).fetchone()[0], new)


def _evict(database: sqlite3.Connection, key: str, new: str) -> None:
    last = database.execute(_LAST_OF_KEY, (key, new)).fetchone()
    if last is None:
        raise NoRoom
    remove(database, last[0])


def erase(database: sqlite3.Connection, key: str | None, users: list[str] | None) -> int:
    """Erase all turns of a key, of users, or of some users of a key, and return their number. None means any.

    Whole conversations of a user are erased, since every later turn contains the earlier ones.
    """
    ids = "SELECT id FROM uses WHERE key = ?" if key is not None else "SELECT id FROM uses WHERE ? IS NULL"
    given: list[str | None] = [key]
    if users is not None:
        roots = f"SELECT root FROM responses WHERE id IN ({ids} AND user IN ({', '.join('?' * len(users))}))"
        ids = f"SELECT id FROM responses WHERE root IN ({roots})"
        given += users
    found = database.execute(ids, given).fetchall()
    for table in ("responses", "uses"):
        database.executemany(f"DELETE FROM {table} WHERE id = ?", found)
    return len(found)
