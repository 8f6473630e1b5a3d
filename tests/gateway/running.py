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
from gateway.serving.server import Server
from gateway.settings import parse

T = TypeVar("T")


class RunningGateway:
    """Built from a settings table; stopped on leaving. `records()` stops it first, so that every row is there.

    It probes no deployment of which the table does not say that it shall: what backends get is counted.
    """

    def __init__(self, table: dict[str, Any], folder: Path) -> None:
        deployments = {name: {"probe": False, **given} for name, given in table["deployments"].items()}
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
        self._server = Server(create_app(parts), parts.settings.server, parts.stopping, self._listening.set)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> RunningGateway:
        # Told its protocol, as asyncio would else let small answers wait for each other.
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread.start()
        assert self._listening.wait(20), "the gateway did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)
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

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(20)

    def sdk(self, **options: Any) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key="a client's key", max_retries=0, **options)

    def async_sdk(self, **options: Any) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key="a client's key", max_retries=0, **options)

    def claude(self, **options: Any) -> anthropic.Anthropic:
        return anthropic.Anthropic(base_url=self.url, api_key="a client's key", max_retries=0, **options)

    def async_claude(self, **options: Any) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(base_url=self.url, api_key="a client's key", max_retries=0, **options)

    def post(self, body: Any, path: str = "/v1/chat/completions", **options: Any) -> httpx.Response:
        """A chat completion without the SDK: a dict as JSON, bytes as they are."""
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        return httpx.post(self.url + path, **content, **options, timeout=20)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=20)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._server.serve([self._listener])
