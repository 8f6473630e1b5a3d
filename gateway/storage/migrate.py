"""Creates the tables, or brings those of an older release up to date, in place."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect, select

from gateway.storage import schema

FOLDER = Path(__file__).with_name("migrations")


def upgrade(connection: Connection, lock: str | None = None) -> None:
    """Make the tables those of this release. `lock` is a statement that keeps other processes out until the end of the
    transaction, where beginning one does not.

    A version that is newer than ours stays: migrations only add, so that old and new gateways can share a database.
    """
    current = _version(connection)
    if current is None or current < schema.HEAD:
        if lock is not None:
            connection.exec_driver_sql(lock)
            current = _version(connection)
        if current is None and not inspect(connection).has_table("records"):
            schema.metadata.create_all(connection)
            connection.execute(schema.version.insert().values(version_num=schema.HEAD))
        elif current is None or current < schema.HEAD:
            _migrate(connection)
    connection.commit()


def _version(connection: Connection) -> str | None:
    """None: a database without tables, or of a release that had no versions yet."""
    if not inspect(connection).has_table(schema.version.name):
        return None
    return connection.execute(select(schema.version.c.version_num)).scalar()


def _migrate(connection: Connection) -> None:
    # Only here: it takes as long to import as the rest of the start, and is hardly ever needed.
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext, MigrationStep
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(FOLDER, version_locations=[FOLDER])

    def to_head(heads: tuple[str, ...], context: MigrationContext) -> Iterable[MigrationStep]:
        missing = list(scripts.iterate_revisions("head", heads or "base"))
        return [MigrationStep.upgrade_from_script(scripts.revision_map, each) for each in reversed(missing)]

    options: dict[str, Any] = {"fn": to_head}
    context = MigrationContext.configure(connection, opts=options)
    with Operations.context(context):
        context.run_migrations()
