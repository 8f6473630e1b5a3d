"""Evidence from requests against a backend, which counts for all clients only if it comes from more than one.

One client's requests can make a backend look incapable of something. That counts for this client at once, for others
only when a second client has seen the same. Evidence expires after a while.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import blake2b

import orjson

from gateway.core.call import Call

TIMES = 3
CLIENTS = 2
LASTS_S = 300.0
MOST_CLIENTS = 256


def client_of(call: Call) -> str:
    """The client of a call: its key; without keys, each request is its own client."""
    return call.key or blake2b(orjson.dumps(call.body), digest_size=8).hexdigest()


class Evidence:
    """Evidence against one capability of one backend."""

    __slots__ = ("_clock", "_seen")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # For each client: the number of observations, and the time of the last.
        self._seen: dict[str, tuple[int, float]] = {}

    def __bool__(self) -> bool:
        return bool(self._seen)

    def against(self, client: str, times: int = 1) -> None:
        count = self._seen.pop(client, (0, 0.0))[0]
        if len(self._seen) >= MOST_CLIENTS:
            del self._seen[next(iter(self._seen))]
        self._seen[client] = (count + times, self._clock())

    def holds(self, client: str) -> bool:
        """Whether there is enough of it for this client."""
        since = self._clock() - LASTS_S
        fresh = {name: count for name, (count, at) in self._seen.items() if at > since}
        if fresh.get(client, 0) >= TIMES:
            return True
        return len(fresh) >= CLIENTS and sum(fresh.values()) >= TIMES
