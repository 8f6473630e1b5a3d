"""A database that rows are kept in: SQLite or PostgreSQL behind one protocol."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

# What a database that is out of reach, or full, raises.
UNAVAILABLE = (SQLAlchemyError, OSError)


class Database(Protocol):
    """As text it is where the rows are, without secrets. Thread-safe; its connections are not."""

    @property
    def engine(self) -> Engine: ...

    def connect(self) -> Connection:
        """A connection to tables of this release: made or migrated if need be. Raises one of UNAVAILABLE."""
        ...

    def exists(self) -> bool:
        """Whether there may be rows: reading is not to create an empty database."""
        ...

    def serves(self, connection: Connection) -> bool:
        """Whether an open connection still leads to where `connect` would."""
        ...

    def size(self, connection: Connection) -> int:
        """The bytes that rows and indexes take."""
        ...

    def give_back(self, connection: Connection) -> None:
        """After deletions: return some of the free space to the disk, where the database does not do that itself."""
        ...

    def overwrite_deleted(self, connection: Connection) -> None:
        """From now on, nothing that this connection deletes can be read from the disk afterwards, where that can be."""
        ...

    def drop_log(self, connection: Connection) -> None:
        """After an erasure: remove what was deleted from write-ahead logs, too, as far as readers allow."""
        ...
