"""Work that grows with the size of a request, done in threads where it would keep all other requests waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gateway.api.json_object import LARGE

T = TypeVar("T")
# The interpreter runs one at a time anyway: more would only hold more bodies at once.
THREADS = 2


class OffLoop:
    """Threads start with the first large request. `close` belongs to the application's life."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "large-requests")

    async def run(self, size: int, work: Callable[[], T]) -> T:
        """The result of `work` on a request of so many bytes: at once where it is short, else from a thread."""
        if size < LARGE:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
