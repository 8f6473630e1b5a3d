"""Chooses the replica for a request: the one of its conversation, unless that is far busier or keeps failing.

A failing replica gets no requests for a while (open circuit), then a single one (half open). A replica that sent
Retry-After is avoided until then, as long as another is available.

A failure may be due to the request: a body can make an engine answer 500 every time. Only unreachability, which no
request can cause, counts at once. Other failures count for the client that saw them, and for all clients once two have
seen some in a row with no success in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from hashlib import blake2b

# Failures in a row that open the circuit, and the seconds it stays open: doubled each time, up to the maximum.
FAILURES = 3
FIRST_BREAK_S = 1.0
LONGEST_BREAK_S = 60.0
# Clients that must fail before failures that a request may cause count for all; and how many clients are tracked.
CLIENTS = 2
MOST_CLIENTS = 256
# A conversation leaves the replica with its cached prefix if that has this much more work than the least busy one: a
# factor, plus the tokens of a few prompts.
MORE_SHARE, MORE_TOKENS = 1.5, 4096.0


class _Circuit:
    """A circuit breaker: failures in a row, and until when it is open."""

    __slots__ = ("breaks", "failures", "wait_until")

    def __init__(self) -> None:
        self.failures = self.breaks = 0
        self.wait_until = 0.0

    def failed(self, now: float) -> None:
        """Count a failure. While open, failing requests began before, and do not extend it."""
        self.failures += 1
        if self.failures >= FAILURES and now >= self.wait_until:
            self.wait_until = now + min(FIRST_BREAK_S * 2**self.breaks, LONGEST_BREAK_S)
            self.breaks = min(self.breaks + 1, 16)

    def busy(self, seconds: float, now: float) -> None:
        self.wait_until = max(self.wait_until, now + min(seconds, LONGEST_BREAK_S))


class Replica:
    """One base URL. `outstanding` is its unfinished work in tokens.

    `client` identifies the sender of a request, or the request itself where there are no keys; None: the failure is the
    replica's own.
    """

    __slots__ = ("_all", "_clients", "_probing", "_run", "outstanding", "url")

    def __init__(self, url: str) -> None:
        self.url = url
        self.outstanding = 0.0
        self._all = _Circuit()
        self._clients: dict[str, _Circuit] = {}
        # Failures per client since the last success.
        self._run: dict[str, int] = {}
        self._probing = False

    @property
    def suspected(self) -> bool:
        """Whether it has failed for any client."""
        return bool(self._clients)

    def open(self, now: float, client: str | None = None) -> bool:
        """Whether it may get a request."""
        if now < self._all.wait_until or self._probing:
            return False
        own = self._clients.get(client) if client is not None else None
        return own is None or now >= own.wait_until

    def began(self, tokens: float) -> bool:
        """Note that a request is sent. True: it is the single trial of a half-open circuit."""
        self.outstanding += tokens
        probe = self._all.failures >= FAILURES
        self._probing = self._probing or probe
        return probe

    def answering(self) -> None:
        """The trial request is being answered: others may follow."""
        self._probing = False

    def ended(self, tokens: float, probe: bool) -> None:
        """Note the end of a request, successful or not; `probe` is what `began` returned."""
        self.outstanding = max(self.outstanding - tokens, 0.0)
        if probe:
            self._probing = False

    def succeeded(self, client: str | None = None) -> None:
        """Note a complete answer, which clears earlier failures."""
        self._all.failures = self._all.breaks = 0
        self._run.clear()
        if client is not None:
            self._clients.pop(client, None)

    def failed(self, now: float, client: str | None = None) -> None:
        """Note a failure: a broken connection, a timeout, an error status, or an unreachable replica."""
        if client is None:
            self._all.failed(now)
            return
        self._of(client).failed(now)
        self._run[client] = self._run.get(client, 0) + 1
        if len(self._run) >= CLIENTS and sum(self._run.values()) >= FAILURES:
            self._all.failures = max(self._all.failures, FAILURES - 1)
            self._all.failed(now)

    def busy(self, seconds: float, now: float, client: str | None = None) -> None:
        """Note Retry-After of `seconds`; it may concern only the client that received it."""
        if client is None or any(now < other.wait_until for name, other in self._clients.items() if name != client):
            self._all.busy(seconds, now)
        if client is not None:
            self._of(client).busy(seconds, now)

    def wait_until(self, client: str | None = None) -> float:
        own = self._clients.get(client) if client is not None else None
        return self._all.wait_until if own is None else max(self._all.wait_until, own.wait_until)

    def _of(self, client: str) -> _Circuit:
        """The client's circuit; the least recently failing client is dropped beyond the limit."""
        circuit = self._clients.pop(client, None) or _Circuit()
        if len(self._clients) >= MOST_CLIENTS:
            del self._clients[next(iter(self._clients))]
        if len(self._run) >= MOST_CLIENTS:
            del self._run[next(iter(self._run))]
        self._clients[client] = circuit
        return circuit


class Replicas:
    """All replicas of one deployment, as this process sees them."""

    def __init__(self, urls: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self.all = tuple(Replica(url) for url in urls)
        self.clock = clock

    @property
    def suspected(self) -> bool:
        """Whether picks depend on the client."""
        return any(replica.suspected for replica in self.all)

    def any_open(self, client: str | None = None) -> bool:
        now = self.clock()
        return any(replica.open(now, client) for replica in self.all)

    def pick(self, conversation: str, tried: Collection[Replica] = (), client: str | None = None) -> Replica | None:
        """The replica to try next; None when every available one has been tried.

        The first pick never fails: if all circuits are open, it is the one that closes first.
        """
        if len(self.all) == 1:
            return None if tried else self.all[0]
        now = self.clock()
        free = [replica for replica in self.all if replica not in tried and replica.open(now, client)]
        if not free:
            return None if tried else min(self.all, key=lambda replica: replica.wait_until(client))
        least = min(free, key=lambda replica: replica.outstanding)
        own = max(free, key=lambda replica: _rank(conversation, replica.url))
        return own if own.outstanding <= MORE_SHARE * least.outstanding + MORE_TOKENS else least


def _rank(conversation: str, url: str) -> bytes:
    """Rendezvous hashing: when a replica disappears, only its own conversations move."""
    return blake2b(f"{url} {conversation}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
