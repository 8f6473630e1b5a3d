"""Admission control of a deployment: concurrency, queueing and load shedding.

As load rises, batch requests wait first, as a share of the places is closed to them; then all requests wait; then new
ones are refused with an estimate of the wait. In each of the two queues, API keys take turns, however many requests
each has. Work that no client waits for gets spare places only, and loses them to the first client who needs one.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from gateway.backends.fair_queue import FairQueue, Waiter
from gateway.backends.latency import LatencyModel, Timing
from gateway.core.deployment import Deployment
from gateway.core.errors import Overloaded
from gateway.core.load import Load
from gateway.core.queue_observer import QueueObserver

# After this many seconds, or half of its maximum wait, a batch request may take any place, like an interactive one that
# arrives then.
BATCH_PROMOTION_S = 30.0
TICK_S = 0.01


class AdmissionController:
    """The places of one deployment in this process. After `try_enter` or `enter` succeeds, call `leave` once."""

    __slots__ = (
        "_batch",
        "_batch_places",
        "_interactive",
        "_latency",
        "_limits",
        "_name",
        "_observer",
        "_places",
        "_promotion_s",
        "_spare",
        "in_flight",
    )

    def __init__(self, deployment: Deployment, latency: LatencyModel, observer: QueueObserver) -> None:
        limits = deployment.admission
        most = limits.max_in_flight
        self._limits = limits
        self._name = deployment.name
        self._latency = latency
        self._observer = observer
        self._promotion_s = min(BATCH_PROMOTION_S, limits.batch_wait_s / 2)
        self._places = math.inf if most is None else most
        self._batch_places = math.inf if most is None else max(1, int(most * limits.batch_share))
        self._interactive, self._batch = FairQueue(), FairQueue()
        # How to take back each spare place that is in use; the last one is taken back first.
        self._spare: dict[object, Callable[[], None]] = {}
        self.in_flight = 0

    @property
    def queued(self) -> int:
        return len(self._interactive) + len(self._batch)

    @property
    def load(self) -> Load:
        limits = self._limits
        in_flight = self.in_flight - len(self._spare)  # whoever has a spare place delays nobody
        usual = self._latency
        return Load(in_flight, self.queued, self._places, limits.max_queue, usual.answer_s, usual.answer_tokens)

    def try_enter(self, batch: bool) -> bool:
        """Take a free place, if there is one for this kind of request; then none of its kind waits."""
        places = self._batch_places if batch else self._places
        if self.in_flight - len(self._spare) >= places:
            return False
        while self.in_flight >= places:
            _, give_way = self._spare.popitem()
            self.in_flight -= 1
            give_way()
        self.in_flight += 1
        return True

    def try_enter_spare(self, give_way: Callable[[], None]) -> object | None:
        """A place that no client needs now, to be given back with `leave_spare`; None: there is none.

        `give_way` is called when a client takes the place: what runs there must stop, and its place is gone.
        """
        if self.queued or self.in_flight >= self._batch_places:
            return None
        self.in_flight += 1
        place = object()
        self._spare[place] = give_way
        return place

    def leave_spare(self, place: object) -> None:
        """Give a spare place back, unless it was taken back."""
        if self._spare.pop(place, None) is not None:
            self.in_flight -= 1
            self._let_in()

    async def enter(self, batch: bool, limit_s: float, key: str | None = None) -> float:
        """Wait for a place, at most `limit_s` seconds; returns how long it took. Overloaded: no place in time.

        `key` is the id of the API key. A waiter that is cancelled or times out leaves the queue at once.
        """
        loop = asyncio.get_running_loop()
        queue = self._batch if batch else self._interactive
        patience_s = min(self._limits.batch_wait_s if batch else self._limits.max_wait_s, limit_s)
        if self._wait_s(batch, key) > patience_s or not self._makes_room(queue, key):
            raise self._refusal(batch, key)
        begun = loop.time()
        waiter: Waiter = loop.create_future()
        timers = [loop.call_later(patience_s, _give_up, waiter)]
        if batch:
            # Slightly later, because event loop clocks are coarse.
            timers.append(loop.call_later(self._promotion_s + TICK_S, self._let_in))
        queue.add(key, waiter, begun)
        self._observer.queued(self.queued)
        try:
            admitted = await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.result():
                self.leave(None)  # it got a place just as its client disconnected
            raise
        finally:
            for timer in timers:
                timer.cancel()
            queue.remove(key, waiter)
            self._observer.queued(self.queued)
            waited_s = loop.time() - begun
            self._observer.waited(waited_s)
        if not admitted:
            raise self._refusal(batch, key)
        return waited_s

    def leave(self, measured: Timing | None) -> None:
        """Release a place; `measured` is the answer's timing, if it was complete."""
        self.in_flight -= 1
        self._latency.learn(measured)
        self._let_in()

    def _let_in(self) -> None:
        while (waiter := self._next()) is not None:
            self.in_flight += 1
            waiter.set_result(True)

    def _next(self) -> Waiter | None:
        """Remove the next waiter for which there is a place from its queue."""
        if self.in_flight >= self._places:
            return None
        interactive, batch = self._interactive.first(), self._batch.first()
        if batch is None and interactive is None:
            return None
        now = asyncio.get_running_loop().time()
        promoted_at = math.inf if batch is None else batch[2] + self._promotion_s
        if interactive is not None and interactive[2] <= promoted_at:
            self._interactive.take(*interactive[:2])
            return interactive[1]
        busy = self.in_flight - len(self._spare)
        if batch is not None and (busy < self._batch_places or promoted_at <= now):
            self._batch.take(*batch[:2])
            return batch[1]
        return None

    def _makes_room(self, queue: FairQueue, key: str | None) -> bool:
        """Whether one more may wait; a full queue evicts the last waiter of the key with the most."""
        if len(queue) < self._limits.max_queue:
            return True
        last = queue.overtaken(key)
        if last is None:
            return False
        last.set_result(False)
        return True

    def _wait_s(self, batch: bool, key: str | None = None) -> float:
        """Expected wait in seconds of a request that arrives now, from recent latencies."""
        if self.in_flight < (self._batch_places if batch else self._places):
            return 0.0
        ahead = self._interactive.ahead(key) if not batch else len(self._interactive) + self._batch.ahead(key)
        return (ahead + 1) * self._latency.answer_s / self._places

    def _refusal(self, batch: bool, key: str | None) -> Overloaded:
        self._observer.refused()
        return Overloaded(self._name, self._wait_s(batch, key))


def _give_up(waiter: Waiter) -> None:
    if not waiter.done():
        waiter.set_result(False)
