"""Reasoning blocks of the gateway's own that a request sends back and that are dropped; the client is told why."""

from __future__ import annotations

from collections import Counter

from gateway.auth.seal import ForeignSeal

_OF = {ForeignSeal.MODEL: "of another model", ForeignSeal.RELEASE: "of an earlier release"}


class DroppedThoughts:
    """Counts the dropped blocks of one request by reason."""

    def __init__(self) -> None:
        self._counts: Counter[ForeignSeal] = Counter()

    def add(self, why: ForeignSeal) -> None:
        self._counts[why] += 1

    def note(self) -> str:
        """The note for the client; empty if nothing was dropped."""
        return "; ".join(
            f"{count} thought{'s' if count > 1 else ''} {_OF[why]} left out" for why, count in self._counts.items()
        )
