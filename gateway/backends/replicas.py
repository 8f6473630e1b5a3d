"""Which replica of a deployment gets a request: its conversation's own, unless that one is far busier or keeps failing.

A replica that fails is left alone for a while (an open circuit), then tried with a single request (half open). One that
says when to come back is not asked before, as long as another one can be.

What fails may be the replica, or the request: a body can make an engine answer 500 again and again. Only what a request
cannot cause, a replica that cannot be reached, counts against it at once. Other failures count against it for the
client that met them, and for all clients once two have in a row, with no success of anybody's in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from hashlib import blake2b

# Failures in a row that open the circuit, and how long it stays open: doubled each time, up to the longest, in seconds.
FAILURES = 3
FIRST_BREAK_S = 1.0
LONGEST_BREAK_S = 60.0
# Clients that must have failed before a failure that a request may have caused counts for all; and how many are known.
CLIENTS = 2
MOST_CLIENTS = 256
# A conversation leaves the replica that has its prefix in the cache when that one has so much more to do than the
# least busy one: a share, plus the tokens of a few prompts.
MORE_SHARE, MORE_TOKENS = 1.5, 4096.0


class _Circuit:
    """Failures in a row, and the break that they led to."""

    __slots__ = ("breaks", "failures", "wait_until")

    def __init__(self) -> None:
        self.failures = self.breaks = 0
        self.wait_until = 0.0

    def failed(self, now: float) -> None:
        """During a break such requests are from before it, and lengthen nothing."""
        self.failures += 1
        if self.failures >= FAILURES and now >= self.wait_until:
            self.wait_until = now + min(FIRST_BREAK_S * 2**self.breaks, LONGEST_BREAK_S)
            self.breaks = min(self.breaks + 1, 16)

    def busy(self, seconds: float, now: float) -> None:
        self.wait_until = max(self.wait_until, now + min(seconds, LONGEST_BREAK_S))


class Replica:
    """One base URL. `outstanding` is the work it has been given and not finished, in tokens.

    `client` is whom a request came from, or the request itself where clients are not told apart; None: its failure is
    the replica's own.
    """

    __slots__ = ("_all", "_clients", "_probing", "_run", "outstanding", "url")

    def __init__(self, url: str) -> None:
        self.url = url
        self.outstanding = 0.0
        self._all = _Circuit()
        self._clients: dict[str, _Circuit] = {}
        # How often each client has failed since the last success.
        self._run: dict[str, int] = {}
        self._probing = False

    @property
    def suspected(self) -> bool:
        """Whether it has failed for some client."""
        return bool(self._clients)

    def open(self, now: float, client: str | None = None) -> bool:
        """Whether it may be asked."""
        if now < self._all.wait_until or self._probing:
            return False
        own = self._clients.get(client) if client is not None else None
        return own is None or now >= own.wait_until

    def began(self, tokens: float) -> bool:
        """A request goes to it. True: after a break, the one that goes ahead while others wait for what comes of it."""
        self.outstanding += tokens
        probe = self._all.failures >= FAILURES
        self._probing = self._probing or probe
        return probe

    def answering(self) -> None:
        """The request that went ahead is being answered: the next may follow."""
        self._probing = False

    def ended(self, tokens: float, probe: bool) -> None:
        """A request is over, however it went; `probe` is what `began` said of it."""
        self.outstanding = max(self.outstanding - tokens, 0.0)
        if probe:
            self._probing = False

    def succeeded(self, client: str | None = None) -> None:
        """It gave a whole answer: whatever failed before did so by itself."""
        self._all.failures = self._all.breaks = 0
        self._run.clear()
        if client is not None:
            self._clients.pop(client, None)

    def failed(self, now: float, client: str | None = None) -> None:
        """It broke off, stayed silent, answered with an error, or was not to be reached."""
        if client is None:
            self._all.failed(now)
            return
        self._of(client).failed(now)
        self._run[client] = self._run.get(client, 0) + 1
        if len(self._run) >= CLIENTS and sum(self._run.values()) >= FAILURES:
            self._all.failures = max(self._all.failures, FAILURES - 1)
            self._all.failed(now)

    def busy(self, seconds: float, now: float, client: str | None = None) -> None:
        """It is alive and asked not to be asked for so long: told to one client, it may be about that one alone."""
        if client is None or any(now < other.wait_until for name, other in self._clients.items() if name != client):
            self._all.busy(seconds, now)
        if client is not None:
            self._of(client).busy(seconds, now)

    def wait_until(self, client: str | None = None) -> float:
        own = self._clients.get(client) if client is not None else None
        return self._all.wait_until if own is None else max(self._all.wait_until, own.wait_until)

    def _of(self, client: str) -> _Circuit:
        """Of those not seen to fail for the longest time, the first is forgotten."""
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
        """Whether it matters who asks."""
        return any(replica.suspected for replica in self.all)

    def any_open(self, client: str | None = None) -> bool:
        now = self.clock()
        return any(replica.open(now, client) for replica in self.all)

    def pick(self, conversation: str, tried: Collection[Replica] = (), client: str | None = None) -> Replica | None:
        """The replica to ask next; None when every one that may be asked has been tried.

        The first pick always finds one: where all are in a break, the one whose break ends first.
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
    """Rendezvous hashing: when a replica goes, only its own conversations move."""
    return blake2b(f"{url} {conversation}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
