"""A backend that keeps nothing of what it is sent, and an application that is asked without a socket: for measuring
what the gateway itself takes of a thread's time and of memory.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterable, MutableMapping
from contextlib import suppress
from typing import Any

from starlette.applications import Starlette

from gateway.core.scope_extension import ON_HANG_UP
from tests.gateway.scripted import delta, sse

PIECE = 65_536
SAID = {"index": 0, "message": {"role": "assistant", "content": "four"}, "text": "four", "finish_reason": "stop"}
USAGE = {"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16}
PLAIN = json.dumps({"object": "list", "data": [], "model": "m", "choices": [SAID], "usage": USAGE}).encode()


def stream(deltas: Iterable[dict[str, Any]]) -> bytes:
    """A complete stream of events."""
    return b"".join([*(sse(delta(**one)) for one in deltas), sse(delta("stop")), sse("[DONE]")])


class Sink:
    """A backend in its own thread; `streamed` is its answer to requests for a stream."""

    def __init__(self) -> None:
        self.streamed = stream([{"content": "four"}])

    def __enter__(self) -> Sink:
        self._listening = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._listening.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self._connections: set[asyncio.Task[Any]] = set()
        self._listening.set()
        await self._stop.wait()
        server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                left = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
                streamed = False
                while left:
                    piece = await reader.readexactly(min(left, PIECE))
                    streamed = streamed or b'"stream":true' in piece
                    left -= len(piece)
                kind, body = ("text/event-stream", self.streamed) if streamed else ("application/json", PLAIN)
                writer.write(f"HTTP/1.1 200 X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode())
                writer.write(body)
                await writer.drain()
        writer.close()
        self._connections.discard(task)


async def ask(app: Starlette, path: str, raw: bytes) -> tuple[int, int]:
    """Send a request in pieces, as a server does; returns the status and the size of the answer in bytes."""
    status = size = start = 0

    async def receive() -> MutableMapping[str, Any]:
        nonlocal start
        part, start = raw[start : start + PIECE], start + PIECE
        return {"type": "http.request", "body": part, "more_body": start < len(raw)}

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal status, size
        status = message.get("status", status)
        size += len(message.get("body", b""))

    extensions = {ON_HANG_UP: {"register": lambda then: None}}
    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "extensions": extensions}
    await app(scope, receive, send)
    return status, size
