"""The database of API keys and teams, in SQLite. Only hashes of secrets are stored."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from gateway.auth import audit
from gateway.auth.key import Key, Secret
from gateway.auth.limits import Budget, Limits
from gateway.auth.team import Team
from gateway.core import private_file
from gateway.core.errors import ConfigError

# A key's slot is its row id, never reused: keys are revoked, not deleted. A team's is one that a key might have had.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
    slot INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, name TEXT NOT NULL, created REAL NOT NULL,
    expires REAL, revoked REAL, limits TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS secrets (
    key_id TEXT NOT NULL REFERENCES keys (id), digest BLOB NOT NULL, created REAL NOT NULL, expires REAL);
CREATE INDEX IF NOT EXISTS secrets_key_id ON secrets (key_id);
CREATE TABLE IF NOT EXISTS teams (
    slot INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, created REAL NOT NULL, limits TEXT NOT NULL);
"""
_COLUMNS = "slot, id, name, created, expires, revoked, limits, team"


def connect(path: Path) -> sqlite3.Connection:
    """Open the database, created with owner-only permissions if missing. ConfigError: it cannot be opened."""
    try:
        private_file.make(path)
        database = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        database.execute("PRAGMA journal_mode=WAL")
        database.executescript(_SCHEMA + audit.SCHEMA)
        if not _has_teams(database):
            _add_teams(database)
    except (OSError, sqlite3.Error) as error:
        raise ConfigError([f"access.path: {path} cannot be used: {error}"]) from error
    return database


def find(database: sqlite3.Connection, id: str) -> Key | None:
    row = database.execute(f"SELECT {_COLUMNS} FROM keys WHERE id = ?", (id,)).fetchone()
    if row is None:
        return None
    slot, id, name, created, expires, revoked, limits, team = row
    secrets = database.execute("SELECT digest, expires FROM secrets WHERE key_id = ? ORDER BY rowid DESC", (id,))
    given = tuple(Secret(*secret) for secret in secrets)
    found = None if team is None else find_team(database, team)
    return Key(slot, id, name, created, expires, revoked, Limits.model_validate_json(limits), given, found)


def find_team(database: sqlite3.Connection, name: str) -> Team | None:
    row = database.execute("SELECT slot, name, created, limits FROM teams WHERE name = ?", (name,)).fetchone()
    return None if row is None else Team(row[0], row[1], row[2], Budget.model_validate_json(row[3]))


def new_slot(database: sqlite3.Connection) -> int:
    """A slot that no key has or will have; in a transaction."""
    cursor = database.execute("INSERT INTO keys (id, name, created, limits) VALUES ('', '', 0, '')")
    slot = cursor.lastrowid
    assert slot is not None, "a row was inserted"
    database.execute("DELETE FROM keys WHERE slot = ?", (slot,))
    return slot


def _has_teams(database: sqlite3.Connection) -> bool:
    return any(row[1] == "team" for row in database.execute("PRAGMA table_info(keys)"))


def _add_teams(database: sqlite3.Connection) -> None:
    """To the table of an earlier release, which goes on using it."""
    database.execute("BEGIN IMMEDIATE")
    if not _has_teams(database):  # else another process was first
        database.execute("ALTER TABLE keys ADD COLUMN team TEXT")
    database.execute("COMMIT")
