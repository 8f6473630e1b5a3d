"""Finds the record that an outcome is about, in the database or on its way there."""

from __future__ import annotations

import logging
import mmap
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, Select, func, or_, select

from gateway.core.errors import RecordsUnavailable
from gateway.core.outcome_row import OutcomeRow
from gateway.core.record import Record
from gateway.storage import rows
from gateway.storage.database import UNAVAILABLE, Database
from gateway.storage.protocol import RecordGroup, RecordIdentity
from gateway.storage.schema import outcomes, records

log = logging.getLogger("thinkgate")

_OWN_ID = re.compile(r"[0-9a-f]{28}")
# A client may give every request the same id; the latest of those is meant, among so many.
MOST_OF_ONE_ID = 1000
_IDENTITY = (records.c.id, records.c.key, records.c.user, records.c.unit, records.c.time)


class RecordLookup:
    """Thread-safe. Methods block: call them off the event loop."""

    def __init__(self, database: Database, spool: Path) -> None:
        self._database = database
        self._spool = spool
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def find(self, id: str, key: str | None) -> RecordIdentity | None:
        """The latest record of this key with this id: the gateway's, the client's, or the answer's own. None: there is
        none. RecordsUnavailable: nobody can tell.

        While the database is out of reach, an id of the gateway's own form is believed: outcomes are joined to records
        by id and key, so one that belongs to no record of the key never counts.
        """
        try:
            # A record may reach the table between the first look at it and the one at the spool.
            look = identities(id, key)
            return self._in_table(look) or self._in_spool(id, key) or self._in_table(look)
        except UNAVAILABLE as error:
            found = self._in_spool(id, key)
            if found is None and _OWN_ID.fullmatch(_own(id)):
                return RecordIdentity(_own(id), key, None, None, 0.0)
            if found is None:
                log.error("records are out of reach: %s", error)
                raise RecordsUnavailable from error
            return found

    def score(self, id: str, metric: str, source: str) -> float | None:
        """The score that is stored or on its way there; None: there is none, as far as can be told."""
        for row in self._spooled(id):
            if type(row) is OutcomeRow and row[:3] == (id, metric, source):
                return row.score
        columns = outcomes.c
        stored = select(columns.score).where(columns.id == id, columns.metric == metric, columns.source == source)
        try:
            found: float | None = self._first(stored)
            return found
        except UNAVAILABLE:
            return None

    def latest(self, group: RecordGroup, key: str | None) -> RecordIdentity | None:
        """The latest record of this key in the group. RecordsUnavailable: the database is out of reach."""
        try:
            # As above: whatever leaves the spool meanwhile is in the table afterwards.
            look = latest_of(group, key)
            places = self._in_table(look), self._newest(group, key), self._in_table(look)
        except UNAVAILABLE as error:
            log.error("records are out of reach: %s", error)
            raise RecordsUnavailable from error
        return max((one for one in places if one is not None), key=_age, default=None)

    def group_score(self, group: RecordGroup, key: str | None, metric: str, source: str) -> float | None:
        """The score that a record of the group has from this source, stored or on its way there."""
        of, rated = records.c, outcomes.c
        member = (of[group.column] == group.hash) & (func.coalesce(of.key, "") == (key or ""))
        joined = outcomes.join(records, of.id == rated.id)
        this = (rated.metric == metric) & (rated.source == source)
        waiting = {
            row.id: row.score
            for row in self._spooled(source)
            if type(row) is OutcomeRow and (row.metric, row.source, row.key) == (metric, source, key)
        }
        try:
            stored: float | None = self._first(select(rated.score).select_from(joined).where(member, this))
            if stored is not None or not waiting:
                return stored
            here = [row.id for row in self._members(group, key) if row.id in waiting]
            known = here[0] if here else self._first(select(of.id).where(member, of.id.in_(waiting)))
        except UNAVAILABLE:
            return None
        return None if known is None else waiting[known]

    def close(self) -> None:
        with self._lock:
            self._disconnect()

    def _in_table(self, look: Select[tuple[str, str, str, str, float]]) -> RecordIdentity | None:
        """The latest of those that a query finds. Raises one of UNAVAILABLE."""
        with self._lock:
            if not self._database.exists():
                return None
            try:
                found = self._connected().execute(look).all()
                self._end()
            except UNAVAILABLE:
                self._disconnect()
                raise
        return max((RecordIdentity._make(row) for row in found), key=_age, default=None)

    def _first(self, look: Select[Any]) -> Any:
        """The first value that a query finds. Raises one of UNAVAILABLE."""
        with self._lock:
            found = self._connected().scalars(look).first()
            self._end()
        return found

    def _members(self, group: RecordGroup, key: str | None) -> list[Record]:
        """The records of the group on their way to the table."""
        found = (row for row in self._spooled(group.hash) if type(row) is Record and row.key == key)
        return [row for row in found if getattr(row, group.column) == group.hash and row.paired_with is None]

    def _newest(self, group: RecordGroup, key: str | None) -> RecordIdentity | None:
        return max(map(_identity, self._members(group, key)), key=_age, default=None)

    def _in_spool(self, id: str, key: str | None) -> RecordIdentity | None:
        names = {id, _own(id)}
        found = [
            _identity(row)
            for row in self._spooled(_own(id))
            if type(row) is Record and row.key == key and names & {row.id, row.request_id, row.answer_id}
        ]
        return max(found, key=_age, default=None)

    def _spooled(self, text: str) -> Iterator[rows.Row]:
        """The rows on their way to the table whose lines contain a JSON string that ends in the text."""
        needle = orjson.dumps(text)[1:]
        for segment in sorted(self._spool.glob("*.jsonl")):
            for line in _lines(segment, needle):
                row = rows.parse(line)
                if row is not None:
                    yield row

    def _connected(self) -> Connection:
        if self._connection is None or not self._database.serves(self._connection):
            self._disconnect()
            self._connection = self._database.connect().execution_options(reads=True)
        return self._connection

    def _end(self) -> None:
        """End the transaction: an open one would keep the database from reusing space."""
        if self._connection is not None:
            self._connection.rollback()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except UNAVAILABLE:
                connection.invalidate()


def identities(id: str, key: str | None) -> Select[tuple[str, str, str, str, float]]:
    """The records of a key by any of their ids. The key is compared in a form that no index has, and there is no order:
    the indexes on key and time would be worse ways to find them.
    """
    of = records.c
    named = or_(of.id == _own(id), of.request_id == id, of.answer_id == id)
    return select(*_IDENTITY).where(named, func.coalesce(of.key, "") == (key or "")).limit(MOST_OF_ONE_ID)


def latest_of(group: RecordGroup, key: str | None) -> Select[tuple[str, str, str, str, float]]:
    """The latest record of a key in a group, by the group's index; of answers that a client has got."""
    of = records.c
    member = (of[group.column] == group.hash) & (func.coalesce(of.key, "") == (key or "")) & of.paired_with.is_(None)
    return select(*_IDENTITY).where(member).order_by(of.time.desc(), of.id.desc()).limit(1)


def _identity(row: Record) -> RecordIdentity:
    return RecordIdentity(row.id, row.key, row.user, row.unit, row.time)


def _own(id: str) -> str:
    """The gateway's own id in that of a message, which is made of it."""
    return id.removeprefix("msg_")


def _age(found: RecordIdentity) -> float:
    return found.time or 0.0


def _lines(segment: Path, needle: bytes) -> list[bytes]:
    """The lines of a file that contain the needle; none if the file has gone."""
    try:
        with segment.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found, at = [], data.find(needle)
            while at >= 0:
                end = data.find(b"\n", at)
                end = len(data) if end < 0 else end
                found.append(data[data.rfind(b"\n", 0, at) + 1 : end])
                at = data.find(needle, end)
            return found
    except (FileNotFoundError, ValueError):
        return []  # imported meanwhile, or empty
