"""Ids of requests."""

from __future__ import annotations

import itertools
import secrets
import time


class Ids:
    """Generates ids that sort by time and are unique across workers and restarts."""

    def __init__(self) -> None:
        self._process = secrets.token_hex(4)
        self._count = itertools.count()

    def new(self) -> str:
        return f"{time.time_ns():016x}{self._process}{next(self._count) & 0xFFFF:04x}"

    def for_client(self) -> str:
        """A request id for a client that sent none, for requests that have no record."""
        return f"req-{self.new()}"
