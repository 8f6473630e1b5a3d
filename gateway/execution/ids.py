"""Ids of requests."""

from __future__ import annotations

import itertools
import secrets
import time


class Ids:
    """Ids that sort by time and are unique across workers and restarts."""

    def __init__(self) -> None:
        self._process = secrets.token_hex(4)
        self._count = itertools.count()

    def new(self) -> str:
        return f"{time.time_ns():016x}{self._process}{next(self._count) & 0xFFFF:04x}"

    def for_client(self) -> str:
        """A request id for a client that sent none, where there is no record to share it with."""
        return f"req-{self.new()}"
