"""Requests that wait for what running requests of their key or team hold: first come, first served, for each key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

# How often the first in a queue looks again, since requests in other processes also give back what they hold.
LOOK_AGAIN_S = 0.05


class _Queue:
    __slots__ = ("first", "length")

    def __init__(self) -> None:
        # asyncio's locks are acquired in the order in which they were asked for.
        self.first = asyncio.Lock()
        self.length = 0


class QuotaQueues:
    """The queues of one process, by the slots of keys. Requests that leave, for whatever reason, leave their queue."""

    def __init__(self) -> None:
        self._queues: dict[int, _Queue] = {}
        self._looking: dict[int, set[asyncio.Event]] = {}

    def length(self, slot: int) -> int:
        """How many requests of this key wait."""
        queue = self._queues.get(slot)
        return 0 if queue is None else queue.length

    def freed(self, slots: Sequence[int]) -> None:
        """Something that was held in these accounts is free."""
        for slot in slots:
            for event in self._looking.get(slot, ()):
                event.set()

    @asynccontextmanager
    async def turn(self, slot: int, due: float) -> AsyncIterator[bool]:
        """Wait to be the first of a key, until `due` by the loop's clock; False: it took too long."""
        queue = self._queues.setdefault(slot, _Queue())
        queue.length += 1
        is_first = False
        try:
            try:
                async with asyncio.timeout_at(due):
                    is_first = await queue.first.acquire()
            except TimeoutError:
                pass
            yield is_first
        finally:
            queue.length -= 1
            if is_first:
                queue.first.release()
            if not queue.length:
                self._queues.pop(slot, None)

    async def look_again(self, slots: Sequence[int], due: float) -> bool:
        """Wait until it may be worth while to look again; False: it is `due`."""
        event = asyncio.Event()
        for slot in slots:
            self._looking.setdefault(slot, set()).add(event)
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(min(due, now + LOOK_AGAIN_S)):
                await event.wait()
        except TimeoutError:
            return now + LOOK_AGAIN_S < due
        finally:
            for slot in slots:
                self._looking[slot].discard(event)
                if not self._looking[slot]:
                    del self._looking[slot]
        return True
