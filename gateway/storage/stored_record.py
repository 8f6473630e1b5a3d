"""One record, out of the database."""

from __future__ import annotations

from contextlib import closing

from sqlalchemy import or_, select

from gateway.core.record import Record
from gateway.storage.database import Database
from gateway.storage.schema import records


def stored_record(database: Database, id: str) -> Record | None:
    """The latest record with this id: the gateway's own, the client's, or the answer's. Raises one of UNAVAILABLE."""
    of = records.c
    named = or_(of.id == id.removeprefix("msg_"), of.request_id == id, of.answer_id == id)
    query = select(*(of[field] for field in Record._fields)).where(named).order_by(of.time.desc()).limit(1)
    with closing(database.connect()) as connection:
        found = connection.execution_options(reads=True).execute(query).first()
    return None if found is None else Record._make(found)
