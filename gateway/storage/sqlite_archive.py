"""The records' database for those who look after it."""

from __future__ import annotations

import logging
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from gateway.core import private_file
from gateway.core.errors import ConfigError, ErasureFailed
from gateway.storage.erasure import erase_records
from gateway.storage.records import connect, spool_of
from gateway.storage.subject import Subject

log = logging.getLogger("thinkgate")


@dataclass(frozen=True, slots=True)
class SqliteArchive:
    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def prepare(self) -> None:
        try:
            connect(self.path).close()
            private_file.make_folder(spool_of(self.path))
        except (OSError, sqlite3.Error) as error:
            raise ConfigError([f"records.path: {self.path} cannot be used: {error}"]) from error

    def erase(self, whose: Subject, anonymise: bool = False) -> int:
        if not self.path.exists():
            return 0
        try:
            return erase_records(self.path, whose, anonymise)
        except (OSError, sqlite3.Error) as error:
            log.error("stored data cannot be erased: %s", error)
            raise ErasureFailed from error
