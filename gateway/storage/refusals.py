"""Limits how many refusals are recorded, so that a key sending only bad requests cannot fill the disk."""

from __future__ import annotations

from gateway.core.record import Record

# Per key, minute and process; metrics count all of them.
MOST_A_MINUTE = 60
MINUTE_S = 60


class Refusals:
    def __init__(self) -> None:
        self._minute = -1
        self._counts: dict[str, int] = {}

    def kept(self, record: Record) -> bool:
        """Whether to write it: everything except refusals beyond the limit that never reached a backend."""
        if record.key is None or not 400 <= record.status < 500 or record.ttft is not None:
            return True
        if record.queued_ms is not None or record.completion_tokens is not None:
            return True
        minute = int(record.time // MINUTE_S)
        if minute != self._minute:
            self._minute, self._counts = minute, {}
        count = self._counts[record.key] = self._counts.get(record.key, 0) + 1
        return count <= MOST_A_MINUTE
