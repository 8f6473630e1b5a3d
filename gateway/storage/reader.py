"""Reads records with their outcomes page by page, for reports, replay and exports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from sqlalchemy import Connection, Select, select, tuple_

from gateway.core.outcome_row import OutcomeRow
from gateway.core.record import Record
from gateway.core.record_query import RatedRecord, RecordQuery
from gateway.storage.database import Database
from gateway.storage.schema import outcomes, records

# Rows of one page. Between pages no transaction is open, so that the database can reuse space meanwhile.
PAGE = 500
_COLUMNS = [records.c[name] for name in Record._fields]
_OUTCOMES = [outcomes.c[name] for name in OutcomeRow._fields]


def rated_records(database: Database, query: RecordQuery) -> Iterator[RatedRecord]:
    """In the order of time. Raises one of UNAVAILABLE."""
    left, after = query.limit, None
    with closing(database.connect().execution_options(reads=True)) as connection:
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            page = [Record._make(row) for row in connection.execute(page_of(query, after, size))]
            of = _outcomes(connection, page)
            connection.rollback()
            yield from (RatedRecord(record, tuple(of[record.id, record.key])) for record in page)
            if len(page) < size:
                return
            after = page[-1].time, page[-1].id
            left = None if left is None else left - size


def page_of(query: RecordQuery, after: tuple[float, str] | None, size: int) -> Select[Any]:
    """Up to so many records after one with this time and id."""
    of = records.c
    found = matching(select(*_COLUMNS), query)
    if after is not None:
        found = found.where(of.time >= after[0], tuple_(of.time, of.id) > tuple_(*after))
    return found.order_by(of.time, of.id).limit(size)


def matching(found: Select[Any], query: RecordQuery) -> Select[Any]:
    """Only records that the query is about."""
    of = records.c
    found = found.where(of.time >= query.since)
    if query.until != float("inf"):
        found = found.where(of.time < query.until)
    if not query.paired:
        found = found.where(of.paired_with.is_(None))
    for name in ("key", "model", "arm", "experiment"):
        wanted = getattr(query, name)
        if wanted is not None:
            found = found.where(of[name] == wanted)
    return found


def _outcomes(connection: Connection, page: list[Record]) -> dict[tuple[str, str | None], list[OutcomeRow]]:
    """By id and key: what another key says of a record is not an outcome of it."""
    found: dict[tuple[str, str | None], list[OutcomeRow]] = defaultdict(list)
    ids = [record.id for record in page]
    for row in connection.execute(select(*_OUTCOMES).where(outcomes.c.id.in_(ids)).order_by(*outcomes.primary_key)):
        outcome = OutcomeRow._make(row)
        found[outcome.id, outcome.key].append(outcome)
    return found
