"""Asks engines in the background how busy they are, for prices: requests never wait for it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from gateway.backends import engine_metrics
from gateway.backends.transport import Transport, root
from gateway.core.deployment import Deployment
from gateway.core.errors import GatewayError
from gateway.core.load import EngineLoad

log = logging.getLogger("thinkgate")

# An engine that does not answer is asked less and less often, in multiples of the usual pause.
RAREST = 30
# What an engine said longer ago than so many pauses no longer counts.
STALE = 5


class _Said(NamedTuple):
    """What a replica said, and until when that counts, by the monotonic clock."""

    load: EngineLoad
    until: float


class EngineLoads:
    """`start` and `stop` it with the application; before that, say with `watch` whom to ask."""

    def __init__(self, transport: Transport, clock: Callable[[], float] = time.monotonic) -> None:
        self._transport = transport
        self._clock = clock
        self._every_s: dict[Deployment, float] = {}
        self._said: dict[str, dict[str, _Said]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def watch(self, deployment: Deployment, every_s: float) -> None:
        """Ask each replica of a deployment so often, if its kind of engine says how busy it is."""
        if deployment.family.host.load_metrics:
            self._every_s[deployment] = min(every_s, self._every_s.get(deployment, every_s))
            self._said.setdefault(deployment.name, {})

    def of(self, deployment: str) -> EngineLoad | None:
        """What its replicas have said of late, together; None: nothing."""
        now = self._clock()
        fresh = [said.load for said in self._said.get(deployment, {}).values() if now < said.until]
        if not fresh:
            return None
        caches = [one.cache for one in fresh if one.cache is not None]
        cache = max(caches) if caches else None
        return EngineLoad(sum(one.running for one in fresh), sum(one.waiting for one in fresh), cache)

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._watch(one, url)) for one in self._every_s for url in one.urls]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self, deployment: Deployment, url: str) -> None:
        every_s, failures = self._every_s[deployment], 0
        while True:
            fault = await self.ask(deployment, url)
            failures = 0 if fault is None else failures + 1
            if failures == 1:
                log.warning("deployment %s: %s does not say how busy it is: %s", deployment.name, url, fault)
            await asyncio.sleep(every_s * min(2 ** min(failures, 10), RAREST))

    async def ask(self, deployment: Deployment, url: str) -> str | None:
        """Ask one replica once; returns why it did not say how busy it is. Nothing is raised."""
        every_s = self._every_s[deployment]
        try:
            status, page = await self._transport.ask(deployment, f"{root(url)}/metrics", timeout_s=max(every_s, 1.0))
        except GatewayError as error:
            return error.message
        if status != 200:
            return f"status {status}"
        try:
            load = engine_metrics.read(page, deployment.family.host.load_metrics, deployment.model)
        except ValueError as error:
            return f"its metrics cannot be read ({error})"
        if load is None:
            return "its metrics lack the requests that run and wait"
        self._said[deployment.name][url] = _Said(load, self._clock() + STALE * every_s)
        return None
