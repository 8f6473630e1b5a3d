"""The thoughts of a conversation that were made here and are not taken up: how many and why, for the client to know."""

from __future__ import annotations

from collections import Counter

from gateway.seal import Foreign

_OF = {Foreign.MODEL: "of another model", Foreign.RELEASE: "of an earlier release"}


class LeftOut:
    """Of one request."""

    def __init__(self) -> None:
        self._counts: Counter[Foreign] = Counter()

    def add(self, why: Foreign) -> None:
        self._counts[why] += 1

    def note(self) -> str:
        """In words; empty if there are none."""
        return "; ".join(
            f"{count} thought{'s' if count > 1 else ''} {_OF[why]} left out" for why, count in self._counts.items()
        )
