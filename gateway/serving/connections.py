"""Limits the client connections of one process, and chooses which one to close for a new one."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Protocol

log = logging.getLogger("thinkgate")
# A flood is logged at a limited rate, with the number of connections.
LOG_EVERY_S = 10.0
_CUSTOMER_BITS = 64
Network = IPv4Network | IPv6Network


class ClientConnection(Protocol):
    """One connection. `origin` is what it counts for, None where it counts for no address of its own."""

    origin: str | None

    def give_way(self) -> None:
        """Close, now. It has no request under way."""
        ...


class Connections:
    """At most `most`, and `most_each` from one address, but for those of `trusted` proxies: None is no limit.

    Where there is no more room the one that has not sent a whole head for the longest time gives way, and after those
    the one that has idled for the longest time. One that works never does: then there is no room.
    """

    def __init__(
        self,
        most: int,
        most_each: int | None = None,
        trusted: Sequence[Network] = (),
        count: Callable[[str], None] = lambda why: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`count` is called with the reason, one word, for each connection that was closed or refused."""
        self._most = most
        self._most_each = most_each
        self._trusted = trusted
        self._count = count
        self._clock = clock
        self._open = 0
        self._each: Counter[str] = Counter()
        # In the order in which they began to.
        self._in_head: dict[ClientConnection, None] = {}
        self._idle: dict[ClientConnection, None] = {}
        self._untold: Counter[str] = Counter()
        self._told_at = -LOG_EVERY_S

    def origin(self, address: str | None) -> str | None:
        """What a client at this address counts for: the address, or the network of an IPv6 address."""
        if self._most_each is None or address is None:
            return None
        ip = ip_address(address.partition("%")[0])
        if any(ip in network for network in self._trusted):
            return None
        return str(IPv6Network((ip, _CUSTOMER_BITS), strict=False)) if ip.version == 6 else address

    def open(self, client: ClientConnection) -> bool:
        """A new one, which has sent nothing yet. False: there is no room for it, and it is not taken in."""
        if client.origin is not None and self._each[client.origin] >= (self._most_each or 0):
            self._lost("address", client)
            return False
        if self._open >= self._most and not self._make_room():
            self._lost("full", client)
            return False
        self._open += 1
        if client.origin is not None:
            self._each[client.origin] += 1
        self._in_head[client] = None
        return True

    def begins_head(self, client: ClientConnection) -> None:
        if client in self._idle:
            del self._idle[client]
            self._in_head[client] = None

    def works(self, client: ClientConnection) -> None:
        self._in_head.pop(client, None)
        self._idle.pop(client, None)

    def idles(self, client: ClientConnection) -> None:
        self._idle[client] = None

    def closed(self, client: ClientConnection) -> None:
        """One that was taken in has gone."""
        self.works(client)
        self._open -= 1
        if client.origin is not None:
            self._each[client.origin] -= 1
            if not self._each[client.origin]:
                del self._each[client.origin]

    def _make_room(self) -> bool:
        for waiting, why in ((self._in_head, "head"), (self._idle, "idle")):
            client = next(iter(waiting), None)
            if client is not None:
                del waiting[client]
                self._lost(why, client)
                client.give_way()
                return True
        return False

    def _lost(self, why: str, client: ClientConnection) -> None:
        self._count(why)
        self._untold[why] += 1
        now = self._clock()
        if now - self._told_at >= LOG_EVERY_S:
            self._told_at = now
            what = ", ".join(f"{number} {_REASONS[why]}" for why, number in self._untold.items())
            log.warning("too many connections (%d are open, server.max_connections): %s", self._open, what)
            self._untold.clear()


_REASONS = {
    "head": "closed that had sent no whole request",
    "idle": "closed that idled",
    "full": "refused, as all others work",
    "address": "refused, as their address has server.max_connections_per_address",
}
