"""What is known of levels when a gateway starts: from the records of its last day."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator

from gateway.backends.level_usage import observation
from gateway.backends.level_usage.usage import LevelUsage
from gateway.core.errors import GatewayError
from gateway.core.record import Record
from gateway.core.record_query import RecordQuery
from gateway.storage.protocol import RecordArchive

log = logging.getLogger("thinkgate")
SPAN_S, MOST_RECORDS = 86_400.0, 20_000


class LevelHistory:
    """Read in the background: no request waits for it, nor the start."""

    def __init__(self, levels: LevelUsage, archive: RecordArchive) -> None:
        self._levels = levels
        self._archive = archive
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Nothing is read where answers were counted already: by the gateway before a reload."""
        if self._levels.is_empty:
            self._task = asyncio.get_running_loop().create_task(self._read())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _read(self) -> None:
        try:
            found = await asyncio.to_thread(lambda: list(newest(self._archive, time.time())))
        except GatewayError as error:
            log.warning("levels are verified by new answers only: %s", error.message)
            return
        for record in found:
            observation.observe(self._levels, record)


def newest(archive: RecordArchive, now: float) -> Iterator[Record]:
    """Of the last day, about as many as `MOST_RECORDS` at most, as if requests came evenly. Raises GatewayError."""
    day = RecordQuery(now - SPAN_S, now, paired=True)
    requests = sum(each.requests for each in archive.totals(day, ["model"]))
    span_s = SPAN_S * min(1.0, MOST_RECORDS / max(requests, 1))
    query = RecordQuery(now - span_s, now, limit=2 * MOST_RECORDS, paired=True)
    return (rated.record for rated in archive.rated(query))
