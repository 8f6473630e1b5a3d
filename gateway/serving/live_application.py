"""The application in use, which another one can replace while requests run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette

from gateway.api.asgi import Receive, Scope, Send
from gateway.api.lifetime import SharedServices
from gateway.app import Parts, create_app


class _Served:
    """An application with its requests: `idle` once it is replaced and its last request has ended."""

    def __init__(self, parts: Parts, shared: SharedServices) -> None:
        self.app = create_app(parts, shared)
        self.running = 0
        self.replaced = False
        self.idle = asyncio.Event()
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        await self._stack.enter_async_context(self.app.router.lifespan_context(self.app))

    async def stop(self) -> None:
        await self._stack.aclose()

    async def retire(self) -> None:
        """Stop what only this application uses, as soon as its last request has ended."""
        self.replaced = True
        if self.running:
            await self.idle.wait()
        await self.stop()


class LiveApplication:
    """ASGI. A request is answered to its end by the application that it began with."""

    def __init__(self, parts: Parts, settled: Callable[[], None] = lambda: None) -> None:
        """`settled` is called each time an application has been replaced and its last request has ended."""
        self._settled = settled
        self._shared = SharedServices()
        self._served = _Served(parts, self._shared)
        self._retiring: set[asyncio.Task[None]] = set()
        self._lifespan = Starlette(lifespan=self._running)
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        served = self._served
        served.running += 1
        try:
            await served.app(scope, receive, send)
        finally:
            served.running -= 1
            if served.replaced and not served.running:
                served.idle.set()

    def replace(self, parts: Parts) -> None:
        """Serve these from now on; returns once new requests get them. For threads other than the event loop's."""
        self._started.wait()
        if self._loop is None:
            raise RuntimeError("the application did not start")
        asyncio.run_coroutine_threadsafe(self._replace(parts), self._loop).result()

    async def _replace(self, parts: Parts) -> None:
        served = _Served(parts, self._shared)
        await served.start()
        before, self._served = self._served, served
        retiring = asyncio.create_task(before.retire())
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retired)

    def _retired(self, retiring: asyncio.Task[None]) -> None:
        self._retiring.discard(retiring)
        self._settled()

    @asynccontextmanager
    async def _running(self, app: Starlette) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        await self._served.start()
        self._started.set()
        try:
            yield
        finally:
            # The server has waited for all requests that it would wait for.
            await asyncio.gather(*self._retiring)
            await self._served.stop()
