"""What keeps the records of requests: SQLite as shipped, anything with these methods otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from gateway.core.experiment_row import ExperimentRow
from gateway.core.record import Record
from gateway.storage.subject import Subject


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

    def stop(self) -> None:
        """Returns when every record is stored."""
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

    def of_experiment(self, name: str, since: float = 0.0) -> Iterator[ExperimentRow]:
        """The requests of an experiment from a time on, in seconds since 1970, in the order in which they began.

        RecordsUnavailable: they are out of reach.
        """
        ...
