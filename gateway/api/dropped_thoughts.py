"""The thoughts of a conversation that were made here and are not taken up: how many and why, for the client to know."""

from __future__ import annotations

from collections import Counter

from gateway.auth.seal import ForeignSeal

_OF = {ForeignSeal.MODEL: "of another model", ForeignSeal.RELEASE: "of an earlier release"}


class DroppedThoughts:
    """Of one request."""

    def __init__(self) -> None:
        self._counts: Counter[ForeignSeal] = Counter()

    def add(self, why: ForeignSeal) -> None:
        self._counts[why] += 1

    def note(self) -> str:
        """In words; empty if there are none."""
        return "; ".join(
            f"{count} thought{'s' if count > 1 else ''} {_OF[why]} left out" for why, count in self._counts.items()
        )
