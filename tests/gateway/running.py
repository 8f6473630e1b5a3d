"""A gateway in this process, on a free port, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import anthropic
import httpx
import openai

from gateway.app import Parts, create_app, make_parts
from gateway.config.settings import parse
from gateway.serving.server import GatewayServer
from tests import plain_http
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
    for a connection as long as a busy machine needs, unless the table says how long.
    """

    def __init__(self, table: dict[str, Any], folder: Path) -> None:
        usual = {"verify": False, "connect_timeout_s": PATIENCE_S}
        deployments = {name: {**usual, **given} for name, given in table["deployments"].items()}
        chosen = {"records": {"path": folder / "records.db"}, **table, "deployments": deployments}
        self._set_up(make_parts(parse(chosen)))

    @classmethod
    def of(cls, parts: Parts) -> RunningGateway:
        """From parts that a test has changed."""
        gateway = cls.__new__(cls)
        gateway._set_up(parts)
        return gateway

    def _set_up(self, parts: Parts) -> None:
        self.parts = parts
        self.database = parts.settings.records.path
        self._listening = threading.Event()
        self._server = GatewayServer(
            create_app(parts),
            parts.settings.server,
            parts.stopping,
            self._listening.set,
            lambda why: parts.metrics.lost_connections.labels(why).inc(),
        )
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> RunningGateway:
        # Told its protocol, as asyncio would else let small answers wait for each other.
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread.start()
        assert self._listening.wait(PATIENCE_S), "the gateway did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the gateway did not stop"

    def records(self) -> list[dict[str, Any]]:
        """All rows, oldest first."""
        self.stop()
        database = sqlite3.connect(self.database)
        database.row_factory = sqlite3.Row
        rows = [dict(row) for row in database.execute("SELECT * FROM records ORDER BY id")]
        database.close()
        return rows

    def inside(self, look: Callable[[], T]) -> T:
        """Call something in the gateway's own loop, where nothing else runs meanwhile."""

        async def run() -> T:
            return look()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(PATIENCE_S)

    def turn(self, seconds: float) -> None:
        """For the gateway, that much time has passed: what was due by now happens at once."""
        self._loop.call_soon_threadsafe(self._loop.turn, seconds)

    def stop_clock_of_breaks(self) -> None:
        """A replica in a break stays in it, however long the test takes."""
        for name in self.parts.settings.deployments:
            self.parts.transport.replicas(name).clock = lambda: 100.0

    def sdk(self, api_key: str = "a client's key", **options: Any) -> openai.OpenAI:
        client = options.pop("http_client", None) or openai.DefaultHttpxClient(verify=NO_TLS)
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=api_key, max_retries=0, http_client=client, **options)

    def async_sdk(self, api_key: str = "a client's key", **options: Any) -> openai.AsyncOpenAI:
        client = openai.DefaultAsyncHttpxClient(verify=NO_TLS)
        return openai.AsyncOpenAI(
            base_url=f"{self.url}/v1", api_key=api_key, max_retries=0, http_client=client, **options
        )

    def claude(self, api_key: str = "a client's key", **options: Any) -> anthropic.Anthropic:
        client = anthropic.DefaultHttpxClient(verify=NO_TLS)
        return anthropic.Anthropic(base_url=self.url, api_key=api_key, max_retries=0, http_client=client, **options)

    def async_claude(self, api_key: str = "a client's key", **options: Any) -> anthropic.AsyncAnthropic:
        client = anthropic.DefaultAsyncHttpxClient(verify=NO_TLS)
        return anthropic.AsyncAnthropic(
            base_url=self.url, api_key=api_key, max_retries=0, http_client=client, **options
        )

    def post(self, body: Any, path: str = "/v1/chat/completions", **options: Any) -> httpx.Response:
        """A chat completion without the SDK: a dict as JSON, bytes as they are."""
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        return plain_http.post(self.url + path, **content, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return plain_http.get(self.url + path, **options)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=Loop) as runner:
            loop = runner.get_loop()
            assert isinstance(loop, Loop)
            self._loop = loop
            runner.run(self._serve())

    async def _serve(self) -> None:
        await self._server.serve([self._listener])
