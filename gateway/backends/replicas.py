"""Which replica of a deployment gets a request: its conversation's own, unless that one is far busier or keeps failing.

A replica that fails is left alone for a while (an open circuit), then tried with a single request (half open). One that
says when to come back is not asked before, as long as another one can be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from hashlib import blake2b

# Failures in a row that open the circuit, and how long it stays open: doubled each time, up to the longest, in seconds.
FAILURES = 3
FIRST_BREAK_S = 1.0
LONGEST_BREAK_S = 60.0
# A conversation leaves the replica that has its prefix in the cache when that one has so much more to do than the
# least busy one: a share, plus the tokens of a few prompts.
MORE_SHARE, MORE_TOKENS = 1.5, 4096.0


class Replica:
    """One base URL. `outstanding` is the work it has been given and not finished, in tokens."""

    __slots__ = ("_breaks", "_failures", "_probing", "_wait_until", "outstanding", "url")

    def __init__(self, url: str) -> None:
        self.url = url
        self.outstanding = 0.0
        self._failures = 0
        self._breaks = 0
        self._wait_until = 0.0
        self._probing = False

    def open(self, now: float) -> bool:
        """Whether it may be asked."""
        return now >= self._wait_until and not self._probing

    def began(self, tokens: float) -> bool:
        """A request goes to it. True: after a break, the one that goes ahead while others wait for what comes of it."""
        self.outstanding += tokens
        probe = self._failures >= FAILURES
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

    def succeeded(self) -> None:
        """It gave a whole answer."""
        self._failures = self._breaks = 0

    def failed(self, now: float) -> None:
        """It broke off or stayed silent. During a break such requests are from before it, and lengthen nothing."""
        self._failures += 1
        if self._failures >= FAILURES and now >= self._wait_until:
            self._wait_until = now + min(FIRST_BREAK_S * 2**self._breaks, LONGEST_BREAK_S)
            self._breaks = min(self._breaks + 1, 16)

    def busy(self, seconds: float, now: float) -> None:
        """It is alive and asked not to be asked for so long."""
        self._wait_until = max(self._wait_until, now + min(seconds, LONGEST_BREAK_S))

    def wait_until(self) -> float:
        return self._wait_until


class Replicas:
    """All replicas of one deployment, as this process sees them."""

    def __init__(self, urls: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self.all = tuple(Replica(url) for url in urls)
        self.clock = clock

    def any_open(self) -> bool:
        now = self.clock()
        return any(replica.open(now) for replica in self.all)

    def pick(self, conversation: str, tried: Collection[Replica] = ()) -> Replica | None:
        """The replica to ask next; None when every one that may be asked has been tried.

        The first pick always finds one: where all are in a break, the one whose break ends first.
        """
        if len(self.all) == 1:
            return None if tried else self.all[0]
        now = self.clock()
        free = [replica for replica in self.all if replica not in tried and replica.open(now)]
        if not free:
            return None if tried else min(self.all, key=Replica.wait_until)
        least = min(free, key=lambda replica: replica.outstanding)
        own = max(free, key=lambda replica: _rank(conversation, replica.url))
        return own if own.outstanding <= MORE_SHARE * least.outstanding + MORE_TOKENS else least


def _rank(conversation: str, url: str) -> bytes:
    """Rendezvous hashing: when a replica goes, only its own conversations move."""
    return blake2b(f"{url} {conversation}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
