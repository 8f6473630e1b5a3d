"""Who waits for a place, key by key: each key in turn, so that one key's thousand requests are not ahead of another's.

Within a key, first come, first served.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

Waiter = asyncio.Future[bool]


class FairQueue:
    """`take` gives the next one; those that are done waiting, for whatever reason, are passed over."""

    __slots__ = ("_keys", "_size")

    def __init__(self) -> None:
        # The key whose turn is next comes first; of each waiter, since when it waits.
        self._keys: OrderedDict[str | None, OrderedDict[Waiter, float]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, key: str | None, waiter: Waiter, since: float) -> None:
        self._keys.setdefault(key, OrderedDict())[waiter] = since
        self._size += 1

    def remove(self, key: str | None, waiter: Waiter) -> None:
        """Also of one that is not there."""
        mine = self._keys.get(key)
        if mine is not None and mine.pop(waiter, None) is not None:
            self._size -= 1
            if not mine:
                del self._keys[key]

    def first(self) -> tuple[str | None, Waiter, float] | None:
        """The next one whose turn it is, with its key and since when it waits; None: nobody waits."""
        while self._keys:
            key, mine = next(iter(self._keys.items()))
            waiter, since = next(iter(mine.items()))
            if not waiter.done():
                return key, waiter, since
            self.remove(key, waiter)
        return None

    def take(self, key: str | None, waiter: Waiter) -> None:
        """It gets its place: now it is the others' turn."""
        self.remove(key, waiter)
        if key in self._keys:
            self._keys.move_to_end(key)

    def ahead(self, key: str | None) -> int:
        """How many would come before one more of this key's."""
        turns = len(self._keys.get(key, ())) + 1
        return turns - 1 + sum(min(len(mine), turns) for other, mine in self._keys.items() if other != key)

    def overtaken(self, key: str | None) -> Waiter | None:
        """Who gives way to one more of this key's where the queue is full: the last one of the key with the most, if
        that key has more than this one would have. None: nobody.
        """
        longest = max(self._keys.values(), key=len, default=None)
        if longest is None or len(longest) <= len(self._keys.get(key, ())) + 1:
            return None
        return next((waiter for waiter in reversed(longest) if not waiter.done()), None)
