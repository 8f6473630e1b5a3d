"""The records' database for those who look after it, and for reports."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gateway.core import private_file
from gateway.core.decision_row import DecisionRow
from gateway.core.errors import ConfigError, ErasureFailed, RecordsUnavailable
from gateway.core.experiment_row import ExperimentRow
from gateway.core.record import Record
from gateway.core.record_query import RatedRecord, RecordQuery
from gateway.core.record_totals import Grouping, RecordTotals
from gateway.storage.database import UNAVAILABLE, Database
from gateway.storage.erasure import erase_records
from gateway.storage.reader import rated_records
from gateway.storage.schema import records
from gateway.storage.scored_rows import scored_rows
from gateway.storage.stored_record import stored_record
from gateway.storage.subject import Subject
from gateway.storage.totals import record_totals

log = logging.getLogger("thinkgate")
OK = 200
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class DatabaseArchive:
    """`local`: the database is a file of this host, which must be there when a gateway starts."""

    database: Database
    spool: Path
    local: bool = True

    def __str__(self) -> str:
        return str(self.database)

    def prepare(self) -> None:
        try:
            if self.local:
                self.database.connect().close()
            private_file.make_folder(self.spool)
        except UNAVAILABLE as error:
            cause = getattr(error, "orig", None) or error
            where = self if self.local else self.spool
            raise ConfigError([f"records.path: {where} cannot be used: {cause}"]) from error
        if not self.local:
            self._look_for_server()

    def _look_for_server(self) -> None:
        """A server that is out of reach stops no gateway: records wait for it in the spool."""
        try:
            self.database.connect().close()
        except UNAVAILABLE as error:
            log.error("records wait in %s, %s is out of reach: %s", self.spool, self, getattr(error, "orig", error))

    def erase(self, whose: Subject, anonymise: bool = False) -> int:
        if not self.database.exists():
            return 0
        try:
            return erase_records(self.database, whose, anonymise)
        except UNAVAILABLE as error:
            log.error("stored data cannot be erased: %s", error)
            raise ErasureFailed from error

    def record(self, id: str) -> Record | None:
        return next(self._read(lambda: iter([stored_record(self.database, id)])), None)

    def rated(self, query: RecordQuery) -> Iterator[RatedRecord]:
        return self._read(lambda: rated_records(self.database, query))

    def totals(self, query: RecordQuery, by: Sequence[Grouping]) -> list[RecordTotals]:
        return list(self._read(lambda: record_totals(self.database, query, by)))

    def of_experiment(self, name: str, since: float = 0.0) -> Iterator[ExperimentRow]:
        conditions = records.c.experiment == name, records.c.time >= since
        return self._read(lambda: scored_rows(self.database, ExperimentRow, *conditions))

    def decisions(self, model: str, since: float = 0.0) -> Iterator[DecisionRow]:
        of = records.c
        answered = of.decided.is_not(None), of.status == OK, of.paired_with.is_(None)
        conditions = of.model == model, of.time >= since, *answered
        return self._read(lambda: scored_rows(self.database, DecisionRow, *conditions))

    def _read(self, rows: Callable[[], Iterator[R]]) -> Iterator[R]:
        """Nothing where there is no database yet. RecordsUnavailable: it cannot be read."""
        if not self.database.exists():
            return
        try:
            yield from rows()
        except UNAVAILABLE as error:
            raise RecordsUnavailable(f"{self} cannot be read: {getattr(error, 'orig', None) or error}") from error
