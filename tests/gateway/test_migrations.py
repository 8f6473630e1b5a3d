"""A database of the last release opens in place, and ends with the tables that a new one has."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from gateway.core.record import Record
from gateway.storage import schema
from gateway.storage.migrate import FOLDER
from tests.gateway.stored import connect, records_in, stored
from tests.patience import until

NEW = (
    "answer_id",
    "experiment",
    "config",
    "prices",
    "session",
    "cached_tokens",
    "degraded",
    "probe_value",
    "first_answer_ms",
    "paired_with",
    "baseline",
    "team",
    "features",
    "lost_to_length",
)
OF_0_1 = [name for name in Record._fields if name not in NEW]
RECORD = Record(id="new", request_id="r", time=2.0, dialect="chat", status=200, session="s", cached_tokens=3)


def last_release(path: Path, *columns: str) -> None:
    """A database as 0.1 left it, with one row."""
    real = {"time": "REAL", "latency": "REAL", "status": "INTEGER", "streamed": "INTEGER"}
    with closing(sqlite3.connect(path)) as old:
        old.execute("PRAGMA journal_mode=WAL").fetchall()
        described = ", ".join(f"{name} {real.get(name, 'TEXT')}" for name in columns if name != "id")
        old.execute(f"CREATE TABLE records (id TEXT PRIMARY KEY, {described})")
        old.execute("CREATE TABLE erased (key TEXT, user TEXT, at REAL NOT NULL)")
        old.execute("CREATE INDEX records_request_id ON records (request_id)")
        old.execute("CREATE INDEX records_time ON records (time)")
        old.execute("CREATE INDEX records_refused ON records (time) WHERE deployment IS NULL")
        old.execute("INSERT INTO erased VALUES ('k', NULL, 5.0)")
        old.execute("INSERT INTO records (id, request_id, time, streamed) VALUES ('old', 'r', 1.0, 1)")
        old.commit()


def differences(connection: Connection) -> list[Any]:
    """What Alembic would have to add or remove. The types of old columns stay as SQLite has them."""
    context = MigrationContext.configure(connection, opts={"compare_type": False})
    found = compare_metadata(context, schema.metadata)
    return [each for each in found if not isinstance(each, list)]


def test_the_last_release_s_file_opens_in_place(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    last_release(path, *OF_0_1)
    records = records_in(path)
    records.start()
    records.write(RECORD)
    records.write(RECORD._replace(id="erased", key="k"))
    records.stop()
    with closing(sqlite3.connect(path)) as database:
        kept = database.execute("SELECT id, streamed, session, cached_tokens FROM records ORDER BY id").fetchall()
        assert kept == [("new", 0, "s", 3), ("old", 1, None, None)]
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [(schema.HEAD,)]
    with closing(connect(path)) as connection:
        assert differences(connection) == []


def test_a_new_database_is_what_the_migrations_make(tmp_path: Path) -> None:
    with closing(connect(tmp_path / "new.db")) as connection:
        assert differences(connection) == []
    oldest = tmp_path / "oldest.db"
    last_release(oldest, "id", "request_id", "time", "streamed", "deployment")
    with closing(connect(oldest)) as connection:
        assert differences(connection) == []
    assert ScriptDirectory(FOLDER, version_locations=[FOLDER]).get_current_head() == schema.HEAD


def test_a_database_of_a_later_release_is_written_to_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "later.db"
    connect(path).close()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("ALTER TABLE records ADD COLUMN of_the_future TEXT")
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    records = records_in(path)
    records.start()
    records.write(RECORD)
    records.stop()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT id FROM records").fetchall() == [("new",)]
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


def test_a_file_that_is_replaced_while_it_is_open_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    records = records_in(path)
    records.start()
    records.write(RECORD)
    until(lambda: stored(path, "id"))
    for file in tmp_path.glob("records.db*"):
        if file.is_file():
            file.unlink()
    records.write(RECORD._replace(id="later"))
    records.stop()
    assert stored(path, "id") == [("later",)]
