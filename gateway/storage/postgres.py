"""A PostgreSQL database, for gateways on several hosts. Needs the extra `postgres`."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, create_engine, func, make_url, select, text
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from gateway.core.errors import ConfigError
from gateway.storage.migrate import upgrade
from gateway.storage.schema import records

# One number for all gateways: only one of them migrates at a time.
_LOCK = "SELECT pg_advisory_xact_lock(7452108615)"
# A database that does not answer must not hold the thread that imports for ever.
_OPTIONS = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "application_name": "thinkgate",
    "options": "-c statement_timeout=120000 -c lock_timeout=30000",
}
# Rows whose size is measured.
SAMPLE = 1000


class PostgresDatabase:
    def __init__(self, url: str) -> None:
        """ConfigError: it is no URL of a database that can be used here."""
        try:
            parsed = make_url(url)
            if parsed.drivername == "postgresql":
                parsed = parsed.set(drivername="postgresql+psycopg")
            self._shown = parsed.render_as_string(hide_password=True)
            self._engine = create_engine(parsed, poolclass=NullPool, connect_args={**_OPTIONS, **dict(parsed.query)})
        except (ArgumentError, ValueError) as error:
            raise ConfigError([f"records.url: is not the URL of a database: {type(error).__name__}"]) from error
        except ModuleNotFoundError as error:
            raise ConfigError(
                ["records.url: the driver is not installed: pip install 'thinkgate[postgres]'"]
            ) from error

    def __str__(self) -> str:
        return self._shown

    @property
    def engine(self) -> Engine:
        return self._engine

    def connect(self) -> Connection:
        connection = self._engine.connect()
        try:
            upgrade(connection, _LOCK)
        except BaseException:
            connection.close()
            raise
        return connection

    def exists(self) -> bool:
        return True

    def serves(self, connection: Connection) -> bool:
        return not connection.invalidated

    def size(self, connection: Connection) -> int:
        """An estimate: what the latest rows take, times the number of rows. The files do not shrink by deletions."""
        latest = select(records).order_by(records.c.time.desc()).limit(SAMPLE).subquery()
        average = connection.execute(
            select(func.avg(func.pg_column_size(text("latest.*")))).select_from(latest.alias("latest"))
        ).scalar()
        count = connection.execute(select(func.count()).select_from(records)).scalar_one()
        return int(float(average or 0) * count)

    def give_back(self, connection: Connection) -> None:
        """PostgreSQL's own vacuum does it."""

    def overwrite_deleted(self, connection: Connection) -> None:
        """The server's files are its administrator's; vacuum makes the space of deleted rows free for others."""

    def drop_log(self, connection: Connection) -> None:
        """The server recycles its log itself."""
