"""Checks at start-up that the gateway's files are of the expected kind."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from gateway.auth.seal_secret import stored_secret
from gateway.auth.usage_store import is_other
from gateway.config.settings import Settings
from gateway.core.errors import ConfigError


class _Database(NamedTuple):
    """`key` is its name in the configuration, `table` a table that it has unless it is empty."""

    key: str
    path: Path
    table: str


def check(chosen: Settings) -> None:
    """Check the existing files without creating or changing any. ConfigError names every unexpected one."""
    databases = list(_databases(chosen))
    faults = [*_shared(databases), *filter(None, map(_fault, databases))]
    usage, spool = chosen.access.usage_path, chosen.records.spool
    if _has_keys(chosen) and is_other(usage):
        faults.append(f"access.path: {usage} is not a Thinkgate counter file")
    if spool.exists() and not spool.is_dir():
        faults.append(f"records.path: {spool} is not a folder")
    own = chosen.own_secret_path
    if chosen.signing.key_env is None and chosen.signing.key_file is None and own.exists():
        try:
            stored_secret(own)
        except ConfigError as error:
            faults += error.faults
    if faults:
        raise ConfigError(faults)


def _databases(chosen: Settings) -> Iterator[_Database]:
    if not chosen.records.has_url:
        yield _Database("records.path", chosen.records.path, "records")
    if _has_keys(chosen):
        yield _Database("access.path", chosen.access.path, "keys")
    if any(one.account for model in chosen.models.values() for one in model.prices):
        yield _Database("models.prices", chosen.spending_path, "spending")
    if chosen.responses.store:
        yield _Database("responses.path", chosen.responses_path, "responses")


def _has_keys(chosen: Settings) -> bool:
    return chosen.access.required or chosen.admin is not None


def _shared(databases: list[_Database]) -> Iterator[str]:
    named: dict[str, str] = {}
    for database in databases:
        other = named.setdefault(os.path.realpath(database.path), database.key)
        if other != database.key:
            yield f"{database.key}: {database.path} is also used by {other}: give each its own file"


def _fault(database: _Database) -> str | None:
    """Checks through SQLite only: opening and closing the file directly would drop this process's locks on it."""
    key, path, table = database
    if not path.exists():
        return None
    if not path.is_file():
        return f"{key}: {path} cannot be used: it is not a file"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as opened:
            tables = {row[0] for row in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        return f"{key}: {path} cannot be used: {error}"
    if tables and table not in tables:
        return f"{key}: {path} is another database: it has no table {table!r}"
    return None
