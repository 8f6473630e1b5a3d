"""Rate limit on wrong keys: token buckets per address and over all addresses."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

WINDOW_S = 60.0
# Per WINDOW_S seconds: enough for typos and a script's retries, too few for a search.
PER_ADDRESS, IN_TOTAL = 20, 200
# An address that has used a valid key is exempt from the overall limit for this long.
TRUSTED_S = 3600.0
MOST_ADDRESSES = 10_000
_NETWORK_BITS = 64


@dataclass(slots=True)
class _Bucket:
    """A token bucket of attempts."""

    size: int
    left: float
    at: float

    def refill(self, now: float) -> None:
        self.left = min(self.left + (now - self.at) * self.size / WINDOW_S, self.size)
        self.at = now

    def wait_s(self) -> float:
        return 0.0 if self.left >= 1 else (1 - self.left) * WINDOW_S / self.size


class Throttle:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._all = _Bucket(IN_TOTAL, IN_TOTAL, clock())
        self._each: OrderedDict[str, _Bucket] = OrderedDict()
        self._trusted: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Seconds until an address may try a key again; 0: now."""
        now, place = self._clock(), _place(address)
        self._all.refill(now)
        bucket_of_address = self._each.get(place)
        if bucket_of_address is not None:
            bucket_of_address.refill(now)
        own_s = 0.0 if bucket_of_address is None else bucket_of_address.wait_s()
        trusted = now - self._trusted.get(place, -TRUSTED_S) < TRUSTED_S
        return own_s if trusted else max(own_s, self._all.wait_s())

    def failed(self, address: str) -> None:
        now, place = self._clock(), _place(address)
        bucket_of_address = self._each.setdefault(place, _Bucket(PER_ADDRESS, PER_ADDRESS, now))
        for bucket in (bucket_of_address, self._all):
            bucket.refill(now)
        self._each.move_to_end(place)
        if len(self._each) > MOST_ADDRESSES:
            self._each.popitem(last=False)
        bucket_of_address.left -= 1
        self._all.left = max(self._all.left - 1, 0.0)

    def succeeded(self, address: str) -> None:
        self._trusted[_place(address)] = self._clock()
        self._trusted.move_to_end(_place(address))
        if len(self._trusted) > MOST_ADDRESSES:
            self._trusted.popitem(last=False)


def _place(address: str) -> str:
    """The address, or the /64 network of an IPv6 address, as one client usually owns all of it."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((int(parsed), _NETWORK_BITS), strict=False))
