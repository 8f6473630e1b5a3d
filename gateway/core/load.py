"""The load of deployments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from gateway.core.efforts import Effort


class Pressure(NamedTuple):
    """The load of one deployment in this process: requests in flight, their maximum (None: unlimited), queued requests,
    and the expected wait of one more in seconds.
    """

    in_flight: int = 0
    capacity: int | None = None
    queued: int = 0
    wait_s: float = 0.0


IDLE = Pressure()


@dataclass(frozen=True, slots=True)
class Load:
    """The load of the arm's deployments: the one without thinking, and the one with it.

    A policy may lower the effort by it before requests queue or are refused.
    """

    none: Pressure = IDLE
    think: Pressure = IDLE

    def of(self, effort: Effort) -> Pressure:
        return self.think if effort.think else self.none


@dataclass(frozen=True, slots=True)
class QueueObserver:
    """Observes the queue's length, each request's wait in seconds, and each refusal."""

    queued: Callable[[float], object] = lambda _: None
    waited: Callable[[float], object] = lambda _: None
    refused: Callable[[], object] = lambda: None
