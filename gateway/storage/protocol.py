"""What keeps the records of requests: SQLite as shipped, anything with these methods otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, Protocol

from gateway.core.decision_row import DecisionRow
from gateway.core.experiment_row import ExperimentRow
from gateway.core.outcome_row import OutcomeRow
from gateway.core.record import Record
from gateway.core.record_query import RatedRecord, RecordQuery
from gateway.core.record_totals import Grouping, RecordTotals
from gateway.storage.subject import Subject


class RecordIdentity(NamedTuple):
    """Which record an outcome is about, and whose it is: the fields of `Record` of these names."""

    id: str
    key: str | None
    user: str | None
    unit: str | None
    time: float


class RecordGroup(NamedTuple):
    """The records of a conversation (`unit`) or of an agent's session: `column` of theirs holds this `hash`."""

    column: Literal["unit", "session"]
    hash: str


class RecordStore(Protocol):
    """One for each process. `start` before the first write, `stop` after the last."""

    @property
    def lost(self) -> int:
        """Records that could not be written, since the start."""
        ...

    def start(self) -> None: ...

    def write(self, record: Record) -> None:
        """Called on the event loop, once per request, before its last byte is sent: return at once, never raise."""
        ...

    def find(self, id: str, key: str | None) -> RecordIdentity | None:
        """The latest record of this key by the gateway's id for it, the client's, or the answer's own; also while it is
        on its way to the database. May block. RecordsUnavailable: nobody can tell.
        """
        ...

    def latest(self, group: RecordGroup, key: str | None) -> RecordIdentity | None:
        """The latest record of this key in a group; as `find` otherwise."""
        ...

    def group_score(self, group: RecordGroup, key: str | None, metric: str, source: str) -> float | None:
        """The score of an outcome that a record of the group has from this source, as far as can be told. May block."""
        ...

    def score(self, id: str, metric: str, source: str) -> float | None:
        """The score of an outcome that was rated before, as far as can be told. May block."""
        ...

    def rate(self, outcome: OutcomeRow) -> bool:
        """Keep an outcome; one that is there already stands. Whether it will be stored. May block, never raises."""
        ...

    def stop(self) -> None:
        """Returns when every record and outcome is stored."""
        ...


class RecordArchive(Protocol):
    """What all stores of a gateway have written, for operators. Processes that serve go on meanwhile.

    As text it is where the records are.
    """

    def prepare(self) -> None:
        """Make what is needed to keep records. ConfigError: it cannot be had."""
        ...

    def erase(self, whose: Subject, anonymise: bool = False) -> int:
        """How many records were removed; `anonymise`: they stay, as of nobody. ErasureFailed: they are out of reach.

        Records of requests that began before now and are written later are left out, too.
        """
        ...

    def record(self, id: str) -> Record | None:
        """The latest record with this id: the gateway's own for the request, the client's, or the answer's.

        RecordsUnavailable: they are out of reach.
        """
        ...

    def rated(self, query: RecordQuery) -> Iterator[RatedRecord]:
        """The records of a query with their outcomes, in the order in which their requests began.

        RecordsUnavailable: they are out of reach.
        """
        ...

    def totals(self, query: RecordQuery, by: Sequence[Grouping]) -> list[RecordTotals]:
        """What the records of a query come to, for each group; its `limit` does not count here.

        RecordsUnavailable: they are out of reach.
        """
        ...

    def of_experiment(self, name: str, since: float = 0.0) -> Iterator[ExperimentRow]:
        """The requests of an experiment from a time on, in seconds since 1970, in the order in which they began, and
        the answers that other arms gave to them.

        RecordsUnavailable: they are out of reach.
        """
        ...

    def decisions(self, model: str, since: float = 0.0) -> Iterator[DecisionRow]:
        """The answered requests of clients to a model whose effort was decided, from a time on, in seconds since 1970,
        in the order in which they began. RecordsUnavailable: they are out of reach.
        """
        ...
