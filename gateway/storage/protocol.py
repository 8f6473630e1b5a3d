"""What keeps the records of requests: SQLite as shipped, anything with these methods otherwise."""

from __future__ import annotations

from typing import Protocol

from gateway.core.record import Record


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
