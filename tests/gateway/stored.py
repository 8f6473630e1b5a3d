"""What is in the database of the records, also while a gateway is making it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any


def stored(path: Path, columns: str) -> list[tuple[Any, ...]]:
    """These columns of all rows, in the order in which they came; none while there is no table."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(path, timeout=30)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'records'").fetchall():
            return []
        return database.execute(f"SELECT {columns} FROM records ORDER BY rowid").fetchall()
