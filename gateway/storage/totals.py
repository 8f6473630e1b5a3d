"""Sums up records by key, model, arm, experiment or day, inside the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from sqlalchemy import ColumnElement, Integer, Row, Select, case, cast, func, select

from gateway.core.record_query import RecordQuery
from gateway.core.record_totals import Grouping, RecordTotals, Total
from gateway.storage.database import Database
from gateway.storage.reader import matching
from gateway.storage.schema import outcomes, records

DAY_S = 86_400
# More groups than anybody reads.
MOST_GROUPS = 10_000


def record_totals(database: Database, query: RecordQuery, by: Sequence[Grouping]) -> Iterator[RecordTotals]:
    """One for each group, in the order of the groups. Raises one of UNAVAILABLE."""
    with closing(database.connect().execution_options(reads=True)) as connection:
        for row in connection.execute(totals_of(query, by)).all():
            yield _totals(row, len(by))


def totals_of(query: RecordQuery, by: Sequence[Grouping]) -> Select[Any]:
    of = records.c
    rated = outcomes.c.id, outcomes.c.key
    weight = func.nullif(func.sum(outcomes.c.weight), 0)
    score = (func.sum(outcomes.c.score * outcomes.c.weight) / weight).label("score")
    scored = select(*rated, score).where(outcomes.c.metric == "outcome").group_by(*rated).subquery()
    same = (of.id == scored.c.id) & of.key.is_not_distinct_from(scored.c.key)
    groups: list[ColumnElement[Any]] = [
        cast(func.floor(of.time / DAY_S), Integer) if name == "day" else of[name] for name in by
    ]
    sums: list[ColumnElement[Any]] = [func.count(), func.sum(case((of.status >= 400, 1), else_=0))]
    sums += [func.sum(of[name]) for name in ("prompt_tokens", "completion_tokens", "reasoning_tokens", "cost")]
    for figure in (of.latency, of.first_answer_ms / 1000, scored.c.score):
        sums += [func.count(figure), func.avg(figure), func.avg(figure * figure)]
    found = matching(select(*groups, *sums).select_from(records.outerjoin(scored, same)), query)
    return found.group_by(*groups).order_by(*groups).limit(MOST_GROUPS)


def _totals(row: Row[Any], groups: int) -> RecordTotals:
    requests, errors, prompt, completion, reasoning, dollars, *moments = row[groups:]
    return RecordTotals(
        group=tuple(row[:groups]),
        requests=requests,
        errors=int(errors),
        prompt_tokens=int(prompt or 0),
        completion_tokens=int(completion or 0),
        reasoning_tokens=int(reasoning or 0),
        dollars=float(dollars or 0.0),
        latency=_total(*moments[:3]),
        first_answer=_total(*moments[3:6]),
        outcome=_total(*moments[6:]),
    )


def _total(n: int, mean: float | None, square: float | None) -> Total:
    if not n or mean is None or square is None:
        return Total(0, None, None)
    return Total(n, mean, max(square - mean * mean, 0.0) * n / (n - 1) if n > 1 else None)
