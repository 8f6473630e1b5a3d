"""One record, out of the database."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from sqlalchemy import Select, or_, select

from gateway.core.record import Record
from gateway.storage.database import Database
from gateway.storage.lookup import MOST_OF_ONE_ID
from gateway.storage.schema import records


def stored_record(database: Database, id: str) -> Record | None:
    """The latest record with this id: the gateway's own, the client's, or the answer's. Raises one of UNAVAILABLE."""
    with closing(database.connect()) as connection:
        found = connection.execution_options(reads=True).execute(named(id)).all()
    return max((Record._make(row) for row in found), key=lambda record: record.time or 0.0, default=None)


def named(id: str) -> Select[Any]:
    """The records by any of their ids, without an order: the index on time would be a worse way to find them."""
    of = records.c
    by = or_(of.id == id.removeprefix("msg_"), of.request_id == id, of.answer_id == id)
    return select(*(of[field] for field in Record._fields)).where(by).limit(MOST_OF_ONE_ID)
