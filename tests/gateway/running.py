"""A gateway in this process, on a free port, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import threading
from pathlib import Path
from typing import Any

import httpx
import openai
import uvicorn

from gateway.app import Parts, create_app, make_parts
from gateway.serve import server_config
from gateway.settings import parse


class _Server(uvicorn.Server):
    """Tells when it listens, and where."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.port = self.servers[0].sockets[0].getsockname()[1]
        self.listening.set()


class RunningGateway:
    """Built from a settings table; stopped on leaving. `records()` stops it first, so that every row is there."""

    def __init__(self, table: dict[str, Any], folder: Path) -> None:
        self._set_up(make_parts(parse({"records": {"path": folder / "records.db"}, **table})))

    @classmethod
    def of(cls, parts: Parts) -> RunningGateway:
        """From parts that a test has changed."""
        gateway = cls.__new__(cls)
        gateway._set_up(parts)
        return gateway

    def _set_up(self, parts: Parts) -> None:
        self.parts = parts
        self.database = parts.settings.records.path
        config = server_config(create_app(self.parts), parts.settings)
        config.port = 0
        config.timeout_graceful_shutdown = 5
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> RunningGateway:
        self._thread.start()
        assert self._server.listening.wait(20), "the gateway did not start"
        self.url = f"http://127.0.0.1:{self._server.port}"
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

    def sdk(self, **options: Any) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key="a client's key", max_retries=0, **options)

    def async_sdk(self, **options: Any) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key="a client's key", max_retries=0, **options)

    def post(self, body: Any, **options: Any) -> httpx.Response:
        """A chat completion without the SDK: a dict as JSON, bytes as they are."""
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        return httpx.post(f"{self.url}/v1/chat/completions", **content, **options, timeout=20)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=20)

    def _run(self) -> None:
        asyncio.run(self._server.serve())
