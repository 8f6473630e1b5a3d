"""HTTP clients of an application in this process, without sockets: each request is a task in the application's loop.

Pieces of an answer arrive as they are sent, and closing an answer early is a hang-up, as it is with a real server.
httpx's own transport for ASGI gives out an answer when it is over.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from concurrent.futures import Future
from typing import Any, Self

import httpx
import httpx2

log = logging.getLogger("tests")
Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


class Exchange:
    """One request and its answer. `pieces` receives the body, and None at its end."""

    def __init__(self, request: Any) -> None:
        self.request = request
        self.http = sys.modules[type(request).__module__.partition(".")[0]]
        self.began: Future[Message] = Future()
        self.began.set_running_or_notify_cancel()  # who waits for it may be cancelled, it may not
        self.pieces: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.arrived: Callable[[], None] = lambda: None
        self._body: bytes | None = request.content
        self._over = asyncio.Event()
        self.complete = False

    def scope(self) -> Message:
        url = self.request.url
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": self.request.method,
            "headers": [(name.lower(), value) for name, value in self.request.headers.raw],
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.split(b"?")[0],
            "query_string": url.query,
            "server": (url.host, url.port),
            "client": ("127.0.0.1", 1),
            "root_path": "",
        }

    async def receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self._over.is_set():
            return
        if message["type"] == "http.response.start":
            self.began.set_result(message)
            return
        piece = message.get("body", b"")
        if piece and self.request.method != "HEAD":
            self._put(piece)
        if not message.get("more_body", False):
            self.complete = True
            self.end()

    def end(self) -> None:
        """Note the end of the answer, or that the client has disconnected."""
        if not self._over.is_set():
            self._over.set()
            self._put(None)

    def _put(self, piece: bytes | None) -> None:
        self.pieces.put(piece)
        self.arrived()

    async def run(self, app: App) -> None:
        try:
            await app(self.scope(), self.receive, self.send)
        except Exception as error:
            log.error("Exception in ASGI application", exc_info=error)
        finally:
            if not self.began.done():
                self.began.set_exception(self.http.RemoteProtocolError("no answer", request=self.request))
            self.end()


class Server:
    """Runs requests in the application's loop; its methods are called from other threads."""

    def __init__(self, app: App, loop: asyncio.AbstractEventLoop) -> None:
        self._app = app
        self._loop = loop
        self.tasks: set[asyncio.Task[None]] = set()
        self.accepting = True

    async def stop(self, drain_s: float) -> None:
        """Wait this long for running requests, then cancel them."""
        self.accepting = False
        if self.tasks:
            _, late = await asyncio.wait(self.tasks, timeout=drain_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def begin(self, exchange: Exchange) -> None:
        if not self.accepting:
            raise exchange.http.ConnectError("the gateway has stopped", request=exchange.request)
        self._loop.call_soon_threadsafe(self._begin, exchange)

    def hang_up(self, exchange: Exchange) -> None:
        if not exchange.complete and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(exchange.end)

    def _begin(self, exchange: Exchange) -> None:
        task = self._loop.create_task(exchange.run(self._app))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


def _response(message: Message, stream: Any, http: Any) -> Any:
    return http.Response(message["status"], headers=message["headers"], stream=stream)


def _patience(request: Any) -> float | None:
    patience: float | None = request.extensions.get("timeout", {}).get("read")
    return patience


class Transport:
    """A transport for synchronous clients. It inherits from neither library's class, as each refuses the other's."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing to do, as each answer is closed by its client."""

    def handle_request(self, request: Any) -> Any:
        request.read()
        exchange = Exchange(request)
        self._server.begin(exchange)
        try:
            message = exchange.began.result(_patience(request))
        except TimeoutError as error:
            raise exchange.http.ReadTimeout("no answer in time", request=request) from error
        finally:
            if not exchange.began.done():
                self._server.hang_up(exchange)
        return _response(message, _Pieces(self._server, exchange), exchange.http)


class _Pieces(httpx.SyncByteStream, httpx2.SyncByteStream):
    def __init__(self, server: Server, exchange: Exchange) -> None:
        self._server = server
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        patience = _patience(self._exchange.request)
        try:
            while (piece := self._exchange.pieces.get(timeout=patience)) is not None:
                yield piece
        except queue.Empty as error:
            raise self._exchange.http.ReadTimeout("the answer went silent", request=self._exchange.request) from error
        _check(self._exchange)

    def close(self) -> None:
        self._server.hang_up(self._exchange)


class AsyncTransport:
    """A transport for asynchronous clients in any event loop."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Nothing to do, as each answer is closed by its client."""

    async def handle_async_request(self, request: Any) -> Any:
        await request.aread()
        exchange, loop, more = Exchange(request), asyncio.get_running_loop(), asyncio.Event()
        exchange.arrived = lambda: _tell(loop, more)
        self._server.begin(exchange)
        try:
            message = await asyncio.wait_for(asyncio.wrap_future(exchange.began), _patience(request))
        except TimeoutError as error:
            raise exchange.http.ReadTimeout("no answer in time", request=request) from error
        finally:
            if not exchange.began.done():
                self._server.hang_up(exchange)
        return _response(message, _AsyncPieces(self._server, exchange, more), exchange.http)


class _AsyncPieces(httpx.AsyncByteStream, httpx2.AsyncByteStream):
    def __init__(self, server: Server, exchange: Exchange, more: asyncio.Event) -> None:
        self._server = server
        self._exchange = exchange
        self._more = more

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            try:
                piece = self._exchange.pieces.get_nowait()
            except queue.Empty:
                await self._wait()
                continue
            if piece is None:
                break
            yield piece
        _check(self._exchange)

    async def _wait(self) -> None:
        try:
            await asyncio.wait_for(self._more.wait(), _patience(self._exchange.request))
        except TimeoutError as error:
            raise self._exchange.http.ReadTimeout("the answer went silent", request=self._exchange.request) from error
        self._more.clear()

    async def aclose(self) -> None:
        self._server.hang_up(self._exchange)


def _tell(loop: asyncio.AbstractEventLoop, more: asyncio.Event) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(more.set)


def _check(exchange: Exchange) -> None:
    if not exchange.complete:
        raise exchange.http.RemoteProtocolError("the answer broke off", request=exchange.request)
