"""How busy a deployment is, as this process sees it."""

from __future__ import annotations

from typing import NamedTuple


class Load(NamedTuple):
    """Requests at a deployment and waiting for it, and how many may be: `places` at once, `most_queued` waiting.

    `tpot_s` is what each further token of an answer takes, in seconds.
    """

    in_flight: int = 0
    queued: int = 0
    places: float = float("inf")
    most_queued: int = 0
    tpot_s: float = 0.02
