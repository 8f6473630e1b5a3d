"""The audit log of operator actions: who, what, and which key; never a secret. An append-only table beside the keys."""

from __future__ import annotations

import getpass
import logging
import os
import sqlite3
from typing import Any

log = logging.getLogger("thinkgate.audit")

SCHEMA = """
CREATE TABLE IF NOT EXISTS audit (time REAL NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL, key_id TEXT);
CREATE TRIGGER IF NOT EXISTS audit_is_not_changed BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER IF NOT EXISTS audit_is_not_cut BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
"""
MOST_LISTED = 1000


def note(database: sqlite3.Connection, time: float, who: str, action: str, key_id: str | None = None) -> None:
    """Record an action in the transaction that performs it, and log it."""
    database.execute("INSERT INTO audit VALUES (?, ?, ?, ?)", (time, who, action, key_id))
    log.info("%s: %s%s", who, action, f" {key_id}" if key_id else "")


def by_command() -> str:
    """Who runs this command; a container may have no name for the user."""
    try:
        return f"{getpass.getuser()} by command"
    except (KeyError, OSError):
        return f"user {os.getuid()} by command"


def latest(database: sqlite3.Connection, most: int = MOST_LISTED) -> list[dict[str, Any]]:
    """The latest `most` actions, newest first; times in seconds since 1970."""
    rows = database.execute("SELECT time, who, action, key_id FROM audit ORDER BY rowid DESC LIMIT ?", (most,))
    return [dict(zip(("time", "who", "action", "key"), row, strict=True)) for row in rows]
