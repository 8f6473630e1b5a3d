"""Records with their outcomes, out of the database: what reports and estimates read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Select, func, select

from gateway.storage.database import Database
from gateway.storage.schema import outcomes, records

# Rows that are held at once.
AT_ONCE = 5000
OUTCOME = "outcome"
R = TypeVar("R", bound=NamedTuple)


def scored_rows(database: Database, kind: type[R], *conditions: ColumnElement[bool]) -> Iterator[R]:
    """The records that meet the conditions, in the order of time, as rows of `kind`: its fields are columns of the
    records, and `outcome`, the mean score weighted by how much each source counts. Raises one of UNAVAILABLE.
    """
    with closing(database.connect()) as connection:
        found = connection.execution_options(reads=True, yield_per=AT_ONCE).execute(_query(kind._fields, conditions))
        for rows in found.partitions():
            yield from map(kind._make, rows)


def _query(fields: tuple[str, ...], conditions: tuple[ColumnElement[bool], ...]) -> Select[Any]:
    total = func.sum(outcomes.c.weight)
    score = func.sum(outcomes.c.score * outcomes.c.weight) / func.nullif(total, 0)
    of = outcomes.c.id, outcomes.c.key
    scored = select(*of, score.label(OUTCOME)).where(outcomes.c.metric == OUTCOME).group_by(*of).subquery()
    # What another key says of a request does not count.
    same = (records.c.id == scored.c.id) & records.c.key.is_not_distinct_from(scored.c.key)
    columns = [scored.c.outcome if field == OUTCOME else records.c[field] for field in fields]
    return (
        select(*columns)
        .select_from(records.outerjoin(scored, same))
        .where(*conditions)
        .order_by(records.c.time, records.c.id)
    )
