"""A request's place among a deployment's concurrent requests: at one deployment at a time, and always released."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol

from gateway.backends.latency import Timing
from gateway.core.call import Call
from gateway.core.deployment import Deployment


class Admission(Protocol):
    """The places of one deployment. After `try_enter` or `enter` succeeds, call `leave` once."""

    def try_enter(self, batch: bool) -> bool: ...

    async def enter(self, batch: bool, limit_s: float, key: str | None = None) -> float: ...

    def leave(self, measured: Timing | None) -> None: ...


Controllers = Mapping[str, Admission]


class Place:
    """A reentrant context manager; leaving the outermost `with` releases the place.

    The time limit of the whole answer starts at the first `enter`. `sent` is when a request was last sent, by the
    monotonic clock; `reached`: it was sent to the deployment of the current, or else last, place; `queued_s` is the
    total time in queues, in seconds.
    """

    __slots__ = ("_admission", "_batch", "_begun", "_depth", "_key", "controller", "queued_s", "reached", "sent")

    def __init__(self, admission: Controllers, call: Call) -> None:
        self._admission = admission
        self._batch, self._key = call.batch, call.key
        self._begun: float | None = None
        self.controller: Admission | None = None
        self.queued_s = 0.0
        self.sent: float | None = None
        self.reached = False
        self._depth = 0

    async def enter(self, deployment: Deployment, patience_s: float = math.inf) -> None:
        """Take a place at a deployment, unless it is held already. Overloaded: none becomes free in time."""
        now = time.perf_counter()
        if self._begun is None:
            self._begun = now
        controller = self._admission[deployment.name]
        if self.controller is controller:
            return
        if self.controller is not None:
            self.move_on()
        if not controller.try_enter(self._batch):
            left_s = deployment.timeouts.total_timeout_s - (now - self._begun)
            self.queued_s += await controller.enter(self._batch, min(left_s, patience_s), self._key)
        self.controller = controller

    def sending(self) -> float:
        """Note that a request is sent now; returns how many seconds of the answer's total time are spent."""
        self.sent = now = time.perf_counter()
        self.reached = True
        return 0.0 if self._begun is None else now - self._begun

    def move_on(self) -> None:
        """Release the place for one at another deployment: this deployment's failed request is not charged."""
        self.reached = False
        self.leave()

    def leave(self, measured: Timing | None = None) -> None:
        """Release the place, if one is held; `measured` is the timing of a complete answer."""
        controller, self.controller = self.controller, None
        if controller is not None:
            controller.leave(measured)

    def __enter__(self) -> Place:
        self._depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if not self._depth:
            self.leave()
