"""How busy a deployment is: as this process sees it, and as its engines say."""

from __future__ import annotations

from typing import NamedTuple


class EngineLoad(NamedTuple):
    """What all replicas of a deployment together say of themselves: requests that they process and that wait inside
    them, whoever sent them, and the largest share of a key-value cache in use, 0 to 1; None: that is not known.
    """

    running: float = 0.0
    waiting: float = 0.0
    cache: float | None = None


class Load(NamedTuple):
    """Requests at a deployment and waiting for it, and how many may be: `places` at once, `most_queued` waiting.

    `answer_s` and `answer_tokens` are those of a usual answer, the time in seconds. `engine` is what its engines have
    said of late; None: nothing.
    """

    in_flight: int = 0
    queued: int = 0
    places: float = float("inf")
    most_queued: int = 0
    answer_s: float = 5.0
    answer_tokens: float = 256.0
    engine: EngineLoad | None = None
