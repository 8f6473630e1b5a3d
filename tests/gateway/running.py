"""A gateway in this process, in a thread with an event loop of its own: without sockets, or on a free port."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar

import anthropic
import httpx
import openai

from gateway.app import Parts, create_app, make_parts
from gateway.config.settings import parse
from gateway.serving.server import GatewayServer
from tests import plain_http
from tests.gateway.in_process import AsyncTransport, Exchange, Server, Transport
from tests.patience import PATIENCE_S
from tests.plain_http import NO_TLS

T = TypeVar("T")


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose clock can be turned ahead."""

    _ahead_s = 0.0

    def time(self) -> float:
        return super().time() + self._ahead_s

    def turn(self, seconds: float) -> None:
        self._ahead_s += seconds


class RunningGateway:
    """Built from a settings table; stopped on leaving. `records()` stops it first, so that every row is there.

    It probes no deployment of which the table does not say that it shall: what backends get is counted. And it waits
    for a connection as long as a busy machine needs, unless the table says how long. Its clients talk to the
    application itself; `ServedGateway` is for what is about sockets and the gateway's own server.
    """

    url = "http://gateway"

    def __init__(self, table: dict[str, Any], folder: Path) -> None:
        usual = {"verify": False, "connect_timeout_s": PATIENCE_S}
        deployments = {name: {**usual, **given} for name, given in table["deployments"].items()}
        chosen = {"records": {"path": folder / "records.db"}, **table, "deployments": deployments}
        self._set_up(make_parts(parse(chosen)))

    @classmethod
    def of(cls, parts: Parts) -> Self:
        """Build the gateway from parts that a test has changed."""
        gateway = cls.__new__(cls)
        gateway._set_up(parts)
        return gateway

    def _set_up(self, parts: Parts) -> None:
        self.parts = parts
        self.database = parts.settings.records.path
        self._listening = threading.Event()
        self._app = create_app(parts)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(PATIENCE_S), "the gateway did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the gateway did not stop"
        self._http.close()

    def records(self) -> list[dict[str, Any]]:
        """All rows, oldest first."""
        self.stop()
        database = sqlite3.connect(self.database)
        database.row_factory = sqlite3.Row
        rows = [dict(row) for row in database.execute("SELECT * FROM records ORDER BY id")]
        database.close()
        return rows

    def inside(self, look: Callable[[], T]) -> T:
        """Call a function in the gateway's loop, while nothing else runs there."""

        async def run() -> T:
            return look()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(PATIENCE_S)

    def turn(self, seconds: float) -> None:
        """Advance the gateway's clock, so that timers that are due fire at once."""
        self._loop.call_soon_threadsafe(self._loop.turn, seconds)

    def stop_clock_of_breaks(self) -> None:
        """Freeze the circuit breakers' clock, so that open circuits stay open."""
        for name in self.parts.settings.deployments:
            self.parts.transport.replicas(name).clock = lambda: 100.0

    def http(self, **options: Any) -> httpx.Client:
        return plain_http.client(**{"base_url": self.url, **self._sync(), **options})

    def async_http(self, **options: Any) -> httpx.AsyncClient:
        return plain_http.async_client(base_url=self.url, **self._async(), **options)

    def sdk(self, api_key: str = "a client's key", **options: Any) -> openai.OpenAI:
        client = options.pop("http_client", None) or openai.DefaultHttpxClient(**self._sync())
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=api_key, max_retries=0, http_client=client, **options)

    def async_sdk(self, api_key: str = "a client's key", **options: Any) -> openai.AsyncOpenAI:
        client = openai.DefaultAsyncHttpxClient(**self._async())
        return openai.AsyncOpenAI(
            base_url=f"{self.url}/v1", api_key=api_key, max_retries=0, http_client=client, **options
        )

    def claude(self, api_key: str = "a client's key", **options: Any) -> anthropic.Anthropic:
        client = anthropic.DefaultHttpxClient(**self._sync())
        return anthropic.Anthropic(base_url=self.url, api_key=api_key, max_retries=0, http_client=client, **options)

    def async_claude(self, api_key: str = "a client's key", **options: Any) -> anthropic.AsyncAnthropic:
        client = anthropic.DefaultAsyncHttpxClient(**self._async())
        return anthropic.AsyncAnthropic(
            base_url=self.url, api_key=api_key, max_retries=0, http_client=client, **options
        )

    @contextmanager
    def leaving(self, body: dict[str, Any], path: str = "/v1/chat/completions", **options: Any) -> Iterator[None]:
        """A running request whose client reads nothing, and hangs up at the end of the block."""
        exchange = Exchange(httpx.Request("POST", self.url + path, json=body, **options))
        self._requests.begin(exchange)
        try:
            yield
        finally:
            self._requests.hang_up(exchange)

    def post(self, body: Any, path: str = "/v1/chat/completions", **options: Any) -> httpx.Response:
        """A chat completion without the SDK: a dict as JSON, bytes as they are."""
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        return self.request("POST", path, **content, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._http.request(method, path, **options)

    @cached_property
    def _http(self) -> httpx.Client:
        return self.http()

    def _sync(self) -> dict[str, Any]:
        """The arguments for a client that connects to this gateway."""
        return {"transport": Transport(self._requests)}

    def _async(self) -> dict[str, Any]:
        return {"transport": AsyncTransport(self._requests)}

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=Loop) as runner:
            loop = runner.get_loop()
            assert isinstance(loop, Loop)
            self._loop = loop
            runner.run(self._serve())

    async def _serve(self) -> None:
        """Run until `_end`, then wait for running requests, as the gateway's server does."""
        self._ending = asyncio.Event()
        self._requests = Server(self._app, self._loop)
        async with self._app.router.lifespan_context(self._app):
            self._listening.set()
            await self._ending.wait()
            self.parts.stopping.begun = True
            await self._requests.stop(self.parts.settings.server.drain_s)

    def _end(self) -> None:
        self._ending.set()


class ServedGateway(RunningGateway):
    """Served on a free port by the gateway's own server, for tests of sockets, heads, connections and slow readers."""

    def __enter__(self) -> Self:
        # With an explicit protocol, as asyncio does not disable Nagle's algorithm otherwise.
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        return super().__enter__()

    def _sync(self) -> dict[str, Any]:
        return {"verify": NO_TLS}

    def _async(self) -> dict[str, Any]:
        return {"verify": NO_TLS}

    async def _serve(self) -> None:
        self._server = GatewayServer(
            self._app,
            self.parts.settings.server,
            self.parts.stopping,
            self._listening.set,
            lambda why: self.parts.metrics.lost_connections.labels(why).inc(),
        )
        await self._server.serve([self._listener])

    def _end(self) -> None:
        self._server.should_exit = True
