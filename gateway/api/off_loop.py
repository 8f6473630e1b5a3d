"""Runs work on large requests in threads, where it would block the event loop for all other requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gateway.api.json_object import LARGE

T = TypeVar("T")
# The interpreter runs one thread at a time anyway: more threads would only keep more bodies in memory.
THREADS = 2


class OffLoop:
    """Threads start with the first large request; `close` when the application stops."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "large-requests")

    async def run(self, size: int, work: Callable[[], T]) -> T:
        """The result of `work` on a request of `size` bytes: run directly if it is small, else in a thread."""
        if size < LARGE:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
