"""Rows on their way from the spool to the tables."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, Dialect, Table, bindparam, exc, select
from sqlalchemy.dialects import postgresql, sqlite

from gateway.core.outcome_row import OutcomeRow
from gateway.core.record import Record
from gateway.storage import schema

log = logging.getLogger("thinkgate")

# Rows in one statement: between statements, the thread must compete for the interpreter lock.
ROWS_AT_ONCE = 64
Row = Record | OutcomeRow
_TABLES: dict[type[Any], Table] = {Record: schema.records, OutcomeRow: schema.outcomes}
_INSERTS = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
# The rows that a statement cannot take, in contrast to a database that cannot take any.
_BAD_ROW = (exc.DataError, exc.IntegrityError, exc.ProgrammingError, exc.InterfaceError)


def insert(connection: Connection, rows: Iterable[Row]) -> None:
    """Insert what is not there yet: ids are unique. A row that the database cannot store is logged and left out."""
    by_table: dict[Table, list[Row]] = {table: [] for table in _TABLES.values()}
    for row in rows:
        by_table[_TABLES[type(row)]].append(row)
    for table, those in by_table.items():
        rest = iter(those)
        while some := list(islice(rest, ROWS_AT_ONCE)):
            _insert(connection, table, some)


def _insert(connection: Connection, table: Table, some: list[Row]) -> None:
    try:
        with connection.begin_nested():
            _execute(connection, table, some)
    except _BAD_ROW as error:
        if connection.invalidated:
            raise
        if len(some) == 1:
            log.error("a row of %s cannot be stored and is left out: %s", table.name, type(error.orig).__name__)
            return
        for row in some:
            _insert(connection, table, [row])


def _execute(connection: Connection, table: Table, some: list[Row]) -> None:
    sql, names = _statement(table, connection.dialect)
    values = [tuple(map(_clean, row)) for row in some]
    given: Any = values if names is None else [dict(zip(names, row, strict=True)) for row in values]
    connection.exec_driver_sql(sql, given)


@cache
def _statement(table: Table, dialect: Dialect) -> tuple[str, list[str] | None]:
    """The insert of one row, and the names of its parameters, None: they have none. The driver repeats it, for which
    nothing depends on the number of rows: SQLAlchemy compiles a statement of several rows in milliseconds, for each
    number of rows anew.
    """
    statement: Any = _INSERTS[dialect.name](table).values({column.name: bindparam(column.name) for column in table.c})
    compiled = statement.on_conflict_do_nothing().compile(dialect=dialect)
    return str(compiled), None if compiled.positional else table.columns.keys()


def _clean(value: Any) -> Any:
    """PostgreSQL stores no NUL in texts."""
    return value.replace("\0", "\ufffd") if type(value) is str and "\0" in value else value


def dump(row: Row) -> bytes:
    """A row as a line of the spool, without its end."""
    return orjson.dumps(dict(zip(row._fields, row, strict=True)))


def read(segment: Path) -> Iterator[Row]:
    """The rows of a segment. Skips a torn line (full disk, power failure): it was never acknowledged."""
    for line in segment.read_bytes().splitlines():
        row = parse(line)
        if row is None:
            log.warning("skipped a damaged record in %s", segment)
        else:
            yield row


def parse(line: bytes) -> Row | None:
    """A line of the spool, also of an older release, which knew fewer columns; None: it is damaged."""
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, dict) or not found.get("id"):
        return None
    kind: type[Any] = OutcomeRow if "metric" in found else Record
    if not all(_fits(found.get(name), column) for name, column in _columns(_TABLES[kind])):
        return None
    defaults = kind._field_defaults
    row: Row = kind(*(found.get(name, defaults.get(name)) for name in kind._fields))
    return row


@cache
def _columns(table: Table) -> list[tuple[str, type]]:
    return [(column.name, column.type.python_type) for column in table.c]


def _fits(value: Any, kind: type) -> bool:
    """Whether a column of this Python type can store the value: one that cannot would block the whole segment."""
    if value is None or type(value) is bool:
        return value is None or kind is bool
    if type(value) is int:
        return kind in (int, float) and -(2**63) <= value < 2**63
    return type(value) is kind


def not_erased(connection: Connection, rows: Iterable[Row]) -> Iterable[Row]:
    """The rows that no erasure covers: by key, by user, or by both, up to a time."""
    erased = connection.execute(select(schema.erased.c.key, schema.erased.c.user, schema.erased.c.at)).all()
    return (row for row in rows if not any(_is_of(row, *each) for each in erased)) if erased else rows


def _is_of(row: Row, key: str | None, user: str | None, until: float) -> bool:
    of_user = user is None or user in (row.user, row.unit)
    return (key is None or row.key == key) and of_user and (row.time or 0.0) <= until
