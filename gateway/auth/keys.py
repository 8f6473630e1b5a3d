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

from gateway.auth import audit, key_database
from gateway.auth.api_key_format import digest, new_id, new_secret
from gateway.auth.key import Clock, Key
from gateway.auth.limits import Budget, KeyChange, NewKey
from gateway.auth.usage_store import UsageStore
from gateway.core.errors import KeyNotLive, UnknownKey, UnknownTeam

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
        with self.changing(action, id):
            pass

    def audit(self) -> list[dict[str, Any]]:
        """The audit log, newest first."""
        with contextlib.closing(self.open()) as database:
            return audit.latest(database)

    def create(self, new: NewKey) -> tuple[Key, str]:
        """A new key and its secret, which cannot be retrieved later. UnknownTeam."""
        id, now = new_id(), self.clock()
        secret = new_secret(id)
        expires = None if new.expires_in_s is None else now + new.expires_in_s
        row = (id, new.name, now, expires, stored(new.limits), new.team)
        with self.changing("keys.create", id) as database:
            _check_team(database, new.team)
            database.execute(
                "INSERT INTO keys (id, name, created, expires, limits, team) VALUES (?, ?, ?, ?, ?, ?)", row
            )
            database.execute("INSERT INTO secrets VALUES (?, ?, ?, NULL)", (id, digest(secret), now))
            return _read(database, id), secret

    def update(self, id: str, change: KeyChange) -> Key:
        """Change what the request names, at once. UnknownKey; UnknownTeam; KeyNotLive: it is revoked.

        ConfigError: its limits would contradict each other.
        """
        with self.changing("keys.update", id) as database:
            key, now, given = _read(database, id), self.clock(), change.model_fields_set
            if key.revoked is not None:
                raise KeyNotLive(f"The key {id} is revoked: create a new one.")
            _check_team(database, change.team)
            expires = None if change.expires_in_s is None else now + change.expires_in_s
            values = {
                "name": change.name if "name" in given else key.name,
                "expires": expires if "expires_in_s" in given else key.expires,
                "team": change.team if "team" in given else key.team_name,
                "limits": stored(key.limits.changed(change.limits)),
            }
            database.execute(
                "UPDATE keys SET name = :name, expires = :expires, team = :team, limits = :limits WHERE id = :id",
                {**values, "id": id},
            )
            return _read(database, id)

    def rotate(self, id: str, overlap_s: float) -> tuple[Key, str]:
        """A new secret; older ones stay valid for `overlap_s` seconds. UnknownKey; KeyNotLive: expired or revoked."""
        now, secret = self.clock(), new_secret(id)
        with self.changing("keys.rotate", id) as database:
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
        with self.changing("keys.revoke", id) as database:
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
            "team": key.team_name,
            "limits": key.limits.given(),
            "usage": counts.report(),
        }

    def open(self) -> sqlite3.Connection:
        """Open the database. ConfigError: it cannot be opened."""
        return key_database.connect(self.path)

    @contextlib.contextmanager
    def changing(self, action: str, id: str | None) -> Iterator[sqlite3.Connection]:
        """A transaction that is audited, and that running gateways notice. Unless it raises; then nothing changes."""
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


def stored(limits: Budget) -> str:
    """Limits as JSON, as they are in the database."""
    return orjson.dumps(limits.given()).decode()


def _check_team(database: sqlite3.Connection, name: str | None) -> None:
    if name is not None and key_database.find_team(database, name) is None:
        raise UnknownTeam(name)


def _read(database: sqlite3.Connection, id: str) -> Key:
    key = key_database.find(database, id)
    if key is None:
        raise UnknownKey(id)
    return key
