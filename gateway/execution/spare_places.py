"""Places for one run that no client waits for: it takes what is free, never queues, and gives way to any client."""

from __future__ import annotations

from collections.abc import Callable

from gateway.backends.admission import AdmissionController
from gateway.backends.latency import Timing


class NoSparePlace(Exception):
    """The deployment has no place to spare. No client sees this, and it is no failure of the deployment."""


class SparePlaces:
    """Those of one deployment, as one run sees them. `give_way` is called when a client takes the run's place."""

    def __init__(self, controller: AdmissionController, give_way: Callable[[], None]) -> None:
        self._controller = controller
        self._give_way = give_way
        self._place: object | None = None

    def try_enter(self, batch: bool) -> bool:
        self._place = self._controller.try_enter_spare(self._give_way)
        return self._place is not None

    async def enter(self, batch: bool, limit_s: float, key: str | None = None) -> float:
        raise NoSparePlace

    def leave(self, measured: Timing | None) -> None:
        """How fast it was says nothing about what clients wait for."""
        place, self._place = self._place, None
        if place is not None:
            self._controller.leave_spare(place)
