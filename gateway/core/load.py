"""How busy deployments are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from gateway.core.efforts import Effort


class Pressure(NamedTuple):
    """How busy one deployment is, as this process sees it: requests in flight, the most there may be (None: any
    number), how many wait, and how many seconds one more would probably wait.
    """

    in_flight: int = 0
    capacity: int | None = None
    queued: int = 0
    wait_s: float = 0.0


IDLE = Pressure()


@dataclass(frozen=True, slots=True)
class Load:
    """How busy the arm's deployments are: the one that answers without thinking, and the one that thinks.

    A policy may lower the effort by it before anybody waits or is refused.
    """

    none: Pressure = IDLE
    think: Pressure = IDLE

    def of(self, effort: Effort) -> Pressure:
        return self.think if effort.think else self.none


@dataclass(frozen=True, slots=True)
class QueueObserver:
    """Is told how many wait, how many seconds one has waited, and of each that was refused."""

    queued: Callable[[float], object] = lambda _: None
    waited: Callable[[float], object] = lambda _: None
    refused: Callable[[], object] = lambda: None
