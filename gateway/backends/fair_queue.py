"""A fair queue: API keys take turns, so that one key's many requests do not delay another's; FIFO within a key."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

Waiter = asyncio.Future[bool]


class FairQueue:
    """Waiters per key; those that are already done are skipped."""

    __slots__ = ("_keys", "_size")

    def __init__(self) -> None:
        # The next key comes first; each waiter maps to the time since which it waits.
        self._keys: OrderedDict[str | None, OrderedDict[Waiter, float]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, key: str | None, waiter: Waiter, since: float) -> None:
        self._keys.setdefault(key, OrderedDict())[waiter] = since
        self._size += 1

    def remove(self, key: str | None, waiter: Waiter) -> None:
        """Remove a waiter, if present."""
        mine = self._keys.get(key)
        if mine is not None and mine.pop(waiter, None) is not None:
            self._size -= 1
            if not mine:
                del self._keys[key]

    def first(self) -> tuple[str | None, Waiter, float] | None:
        """The next waiter, with its key and the time since which it waits; None: the queue is empty."""
        while self._keys:
            key, mine = next(iter(self._keys.items()))
            waiter, since = next(iter(mine.items()))
            if not waiter.done():
                return key, waiter, since
            self.remove(key, waiter)
        return None

    def take(self, key: str | None, waiter: Waiter) -> None:
        """Remove a waiter that gets its place; its key goes to the back."""
        self.remove(key, waiter)
        if key in self._keys:
            self._keys.move_to_end(key)

    def ahead(self, key: str | None) -> int:
        """How many waiters would precede a further one of this key."""
        turns = len(self._keys.get(key, ())) + 1
        return turns - 1 + sum(min(len(mine), turns) for other, mine in self._keys.items() if other != key)

    def overtaken(self, key: str | None) -> Waiter | None:
        """The waiter to evict from a full queue for one more of this key: the last one of the key with the most, if
        that is more than this key would have. None: none.
        """
        longest = max(self._keys.values(), key=len, default=None)
        if longest is None or len(longest) <= len(self._keys.get(key, ())) + 1:
            return None
        return next((waiter for waiter in reversed(longest) if not waiter.done()), None)
