"""The tables of the database, the same in SQLite and in PostgreSQL.

A change here needs a migration in `migrations/`, and `HEAD` names the last one.
"""

from __future__ import annotations

from typing import Any, get_type_hints

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, MetaData, String, Table, Text
from sqlalchemy.types import TypeEngine

from gateway.core.outcome_row import OutcomeRow
from gateway.core.record import Record

HEAD = "0002"
# What a column of each type holds.
_TYPES: dict[Any, type[TypeEngine[Any]]] = {
    **dict.fromkeys((int, int | None), BigInteger),
    **dict.fromkeys((bool, bool | None), Boolean),
    **dict.fromkeys((float, float | None), Double),
    **dict.fromkeys((str, str | None), Text),
}


def _columns(row: type[Any], key: tuple[str, ...]) -> list[Column[Any]]:
    """A column for each field of a row. Only what the first release had no rows without is NOT NULL: the key."""
    return [Column(name, _TYPES[kind](), primary_key=name in key) for name, kind in get_type_hints(row).items()]


metadata = MetaData()
records = Table("records", metadata, *_columns(Record, ("id",)))
outcomes = Table("outcomes", metadata, *_columns(OutcomeRow, ("id", "metric", "source")))
# Whose data was erased, up to when: what is still in a spool then is not imported.
erased = Table("erased", metadata, Column("key", Text), Column("user", Text), Column("at", Double, nullable=False))
version = Table("alembic_version", metadata, Column("version_num", String(32), primary_key=True))

_of = records.c
Index("records_request_id", _of.request_id)
Index("records_answer_id", _of.answer_id)
Index("records_time", _of.time)
Index("records_refused", _of.time, sqlite_where=_of.deployment.is_(None), postgresql_where=_of.deployment.is_(None))
Index("records_key_time", _of.key, _of.time)
Index("records_model_time", _of.model, _of.time)
Index("records_arm_time", _of.arm, _of.time)
Index("records_experiment_time", _of.experiment, _of.time)
Index("records_unit", _of.unit, _of.time)
Index("records_session", _of.session, _of.time)
Index("outcomes_time", outcomes.c.time)
