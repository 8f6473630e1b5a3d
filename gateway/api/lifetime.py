"""Starts and stops the application under any server: by the lifespan protocol or, without it, on the first request."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple

from gateway.api.asgi import App, Receive, Scope, Send

# Either is awaited if it gives something to await.
Step = Callable[[], Awaitable[None] | None]


class Service(NamedTuple):
    """A part that has to be started and stopped with the applications that use it."""

    part: Any
    start: Step = lambda: None
    stop: Step = lambda: None


class SharedServices:
    """Services of successive applications in one process: each starts with its first user and stops with its last."""

    def __init__(self) -> None:
        self._users: dict[int, int] = {}

    async def start(self, service: Service) -> None:
        users = self._users.get(id(service.part), 0)
        if users == 0:
            await _done(service.start)
        self._users[id(service.part)] = users + 1

    async def stop(self, service: Service) -> None:
        users = self._users.pop(id(service.part)) - 1
        if users:
            self._users[id(service.part)] = users
        else:
            await _done(service.stop)


async def _done(step: Step) -> None:
    result = step()
    if inspect.isawaitable(result):
        await result


class Lifetime:
    """Enters the context manager `running` exactly once. Records are safe and connections close even without `stop`."""

    def __init__(self, running: AbstractAsyncContextManager[None]) -> None:
        self._running = running
        self._starting: asyncio.Future[None] | None = None
        self.started = False

    async def start(self) -> None:
        """Start, or wait for the start in progress. If it fails, every caller gets its exception."""
        if self._starting is None:
            self._starting = asyncio.ensure_future(self._running.__aenter__())
        await asyncio.shield(self._starting)
        self.started = True

    async def stop(self) -> None:
        await self._running.__aexit__(None, None, None)


class StartOnFirstRequest:
    """ASGI middleware that starts the application before the first request, if the server did not."""

    def __init__(self, app: App, lifetime: Lifetime) -> None:
        self._app = app
        self._lifetime = lifetime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._lifetime.started and scope["type"] == "http":
            await self._lifetime.start()
        await self._app(scope, receive, send)
