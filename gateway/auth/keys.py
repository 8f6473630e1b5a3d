"""API keys in SQLite. Only hashes of secrets are stored: a lost secret can be rotated, not shown again."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from gateway.auth import audit
from gateway.auth.api_key_format import digest, new_id, new_secret
from gateway.auth.key import Clock, Key, Secret
from gateway.auth.limits import Limits, NewKey
from gateway.auth.usage_store import UsageStore
from gateway.core import private_file
from gateway.core.errors import ConfigError, KeyNotLive, UnknownKey

# A key's slot is its row id, never reused: keys are revoked, not deleted.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
    slot INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, name TEXT NOT NULL, created REAL NOT NULL,
    expires REAL, revoked REAL, limits TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS secrets (
    key_id TEXT NOT NULL REFERENCES keys (id), digest BLOB NOT NULL, created REAL NOT NULL, expires REAL);
CREATE INDEX IF NOT EXISTS secrets_key_id ON secrets (key_id);
"""
MOST_SECRETS = 8


@dataclass(frozen=True, slots=True)
class Keys:
    """Key management for operators. Each method opens the database; running gateways notice changes at once."""

    path: Path
    counters: UsageStore
    clock: Clock = time.time
    who: str = "unknown"
    """Who the operator is, for the audit log."""

    def of(self, who: str) -> Keys:
        """The same for another operator."""
        return replace(self, who=who)

    def note(self, action: str, id: str | None = None) -> None:
        """Audit an operator action that changes no key; `id` is the key it concerned."""
        with self._changing(action, id):
            pass

    def audit(self) -> list[dict[str, Any]]:
        """The audit log, newest first."""
        with contextlib.closing(self.open()) as database:
            return audit.latest(database)

    def create(self, new: NewKey) -> tuple[Key, str]:
        """A new key and its secret, which cannot be retrieved later."""
        id, now = new_id(), self.clock()
        secret = new_secret(id)
        expires = None if new.expires_in_s is None else now + new.expires_in_s
        row = (id, new.name, now, expires, orjson.dumps(new.limits.given()).decode())
        with self._changing("keys.create", id) as database:
            database.execute("INSERT INTO keys (id, name, created, expires, limits) VALUES (?, ?, ?, ?, ?)", row)
            database.execute("INSERT INTO secrets VALUES (?, ?, ?, NULL)", (id, digest(secret), now))
            return _read(database, id), secret

    def rotate(self, id: str, overlap_s: float) -> tuple[Key, str]:
        """A new secret; older ones stay valid for `overlap_s` seconds. UnknownKey; KeyNotLive: expired or revoked."""
        now, secret = self.clock(), new_secret(id)
        with self._changing("keys.rotate", id) as database:
            key = _read(database, id)
            if key.state(now) != "live":
                raise KeyNotLive(f"The key {id} is {key.state(now)}: create a new one.")
            database.execute("DELETE FROM secrets WHERE key_id = ? AND expires <= ?", (id, now))
            database.execute(
                "UPDATE secrets SET expires = min(ifnull(expires, 9e15), ?) WHERE key_id = ?", (now + overlap_s, id)
            )
            database.execute("INSERT INTO secrets VALUES (?, ?, ?, NULL)", (id, digest(secret), now))
            (count,) = database.execute("SELECT count(*) FROM secrets WHERE key_id = ?", (id,)).fetchone()
            if count > MOST_SECRETS:
                raise KeyNotLive(f"The key {id} has {MOST_SECRETS} secrets already: wait until some expire.")
            return _read(database, id), secret

    def revoke(self, id: str) -> Key:
        """Invalidate a key, idempotently. UnknownKey: there is none of this id."""
        with self._changing("keys.revoke", id) as database:
            database.execute("UPDATE keys SET revoked = ifnull(revoked, ?) WHERE id = ?", (self.clock(), id))
            return _read(database, id)

    def get(self, id: str) -> Key:
        with contextlib.closing(self.open()) as database:
            return _read(database, id)

    def all(self) -> list[Key]:
        """Oldest first."""
        with contextlib.closing(self.open()) as database:
            ids = [row[0] for row in database.execute("SELECT id FROM keys ORDER BY slot")]
            return [_read(database, id) for id in ids]

    def describe(self, key: Key) -> dict[str, Any]:
        """A key's public view: everything but its secrets. Times are in seconds since 1970."""
        now = self.clock()
        counts = self.counters.read(key.slot, now)
        return {
            "id": key.id,
            "name": key.name,
            "state": key.state(now),
            "created": key.created,
            "expires": key.expires,
            "revoked": key.revoked,
            "secrets": sum(secret.expires is None or now < secret.expires for secret in key.secrets),
            "limits": key.limits.given(),
            "usage": counts.report(),
        }

    def open(self) -> sqlite3.Connection:
        """Open the database, created with owner-only permissions if missing. ConfigError: it cannot be opened."""
        try:
            private_file.make(self.path)
            database = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
            database.execute("PRAGMA journal_mode=WAL")
            database.executescript(_SCHEMA + audit.SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError([f"access.path: {self.path} cannot be used: {error}"]) from error
        return database

    @contextlib.contextmanager
    def _changing(self, action: str, id: str | None) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(self.open()) as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                audit.note(database, self.clock(), self.who, action, id)
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")
        self.counters.changed()


def find(database: sqlite3.Connection, id: str) -> Key | None:
    row = database.execute(
        "SELECT slot, id, name, created, expires, revoked, limits FROM keys WHERE id = ?", (id,)
    ).fetchone()
    if row is None:
        return None
    slot, id, name, created, expires, revoked, limits = row
    secrets = database.execute("SELECT digest, expires FROM secrets WHERE key_id = ? ORDER BY rowid DESC", (id,))
    given = tuple(Secret(*secret) for secret in secrets)
    return Key(slot, id, name, created, expires, revoked, Limits.model_validate_json(limits), given)


def _read(database: sqlite3.Connection, id: str) -> Key:
    key = find(database, id)
    if key is None:
        raise UnknownKey(id)
    return key
