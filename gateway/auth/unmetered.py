"""The principal of a request that the gateway repeats by itself: with the client's limits, at no cost to it."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.auth.principal import Anonymous, Principal
from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.efforts import Effort


class Unmetered(Anonymous):
    """`principal` is the client's: its ceiling and what its quotas leave bound the effort; nothing is charged to it.

    The key is the client's, too: its record is the client's to erase, and its prompts share no cache with others.
    """

    def __init__(self, principal: Principal) -> None:
        self.key = principal.key
        self.team = principal.team
        self._principal = principal

    def ceiling(self, levels: Mapping[str, Effort]) -> Effort | None:
        return self._principal.ceiling(levels)

    def bound(self, call: Call, levels: Mapping[str, Effort], arm: Arm) -> Call:
        return self._principal.bound(call, levels, arm)
