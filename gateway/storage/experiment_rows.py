"""The requests of an experiment with their outcomes, out of the database of the records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from sqlalchemy import Select, func, select

from gateway.core.experiment_row import ExperimentRow
from gateway.storage.database import Database
from gateway.storage.schema import outcomes, records

# Rows that are held at once.
AT_ONCE = 5000


def experiment_rows(database: Database, name: str, since: float) -> Iterator[ExperimentRow]:
    """In the order of time. Raises one of UNAVAILABLE."""
    with closing(database.connect()) as connection:
        found = connection.execution_options(reads=True, yield_per=AT_ONCE).execute(_query(name, since))
        for rows in found.partitions():
            yield from map(ExperimentRow._make, rows)


def _query(name: str, since: float) -> Select[tuple[object, ...]]:
    total = func.sum(outcomes.c.weight)
    score = func.sum(outcomes.c.score * outcomes.c.weight) / func.nullif(total, 0)
    of = outcomes.c.id, outcomes.c.key
    scored = select(*of, score.label("outcome")).where(outcomes.c.metric == "outcome").group_by(*of).subquery()
    # What another key says of a request does not count.
    same = (records.c.id == scored.c.id) & records.c.key.is_not_distinct_from(scored.c.key)
    columns = [records.c[field] for field in ExperimentRow._fields if field != "outcome"]
    return (
        select(*columns, scored.c.outcome)
        .select_from(records.outerjoin(scored, same))
        .where(records.c.experiment == name, records.c.time >= since)
        .order_by(records.c.time, records.c.id)
    )
