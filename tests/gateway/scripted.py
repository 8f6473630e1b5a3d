"""A scripted backend, for failures and timing that a real model does not show on demand.

It runs in a thread with an event loop of its own and writes raw bytes, so that a script can break HTTP in any way.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.patience import PATIENCE_S

MODEL = "backend-model"
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": MODEL,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "four", "reasoning": "two and two"},
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 7,
        "completion_tokens": 9,
        "total_tokens": 16,
        "completion_tokens_details": {"reasoning_tokens": 5},
    },
    "a_field_of_tomorrow": {"kept": True},
}


@dataclass
class Request:
    """A request to the backend."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]


@dataclass
class Connection:
    """The connection that a script controls."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    request: Request

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        lines = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        await self.send(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body)

    async def begin_stream(self) -> None:
        await self.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    async def event(self, value: Any) -> None:
        await self.chunk(sse(value))

    async def end_stream(self) -> None:
        await self.send(b"0\r\n\r\n")

    async def hung_up(self) -> None:
        """Returns when the gateway closes or resets the connection."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(4096):
                pass

    def cut(self) -> None:
        """Reset the connection."""
        self.writer.transport.abort()


Script = Callable[[Connection], Awaitable[None]]


def sse(value: Any) -> bytes:
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return b"data: " + text.encode() + b"\n\n"


def delta(finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": fields, "finish_reason": finish_reason}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [choice]}


def usage_chunk() -> dict[str, Any]:
    return {**delta(), "choices": [], "usage": ANSWER["usage"]}


async def obedient(connection: Connection) -> None:
    """A correct answer, plain or streamed."""
    if connection.request.path.endswith("/models"):
        await connection.answer(200, b'{"object":"list","data":[]}')
    elif not connection.request.body.get("stream"):
        await connection.answer(200, json.dumps(ANSWER).encode())
    else:
        await connection.begin_stream()
        await connection.event(delta(role="assistant", content=""))
        await connection.event(delta(reasoning="two and two"))
        await connection.event(delta(content="four"))
        await connection.event(delta("stop"))
        if (connection.request.body.get("stream_options") or {}).get("include_usage"):
            await connection.event(usage_chunk())
        await connection.event("[DONE]")
        await connection.end_stream()


async def thorough(connection: Connection) -> None:
    """An answer, not streamed, whose reasoning uses its whole budget."""
    body = connection.request.body
    switched_on = (body.get("chat_template_kwargs") or {}).get("enable_thinking", True)
    thought = body.get("thinking_token_budget", 5000) if switched_on else 0
    details = {"reasoning_tokens": thought}
    usage = {"prompt_tokens": 7, "completion_tokens": thought + 4, "completion_tokens_details": details}
    await connection.answer(200, json.dumps({**ANSWER, "usage": usage}).encode())


@dataclass
class ScriptedBackend:
    """`script` is run for each request and may be replaced at any time; `requests` holds what came in."""

    script: Script = obedient
    requests: list[Request] = field(default_factory=list)
    hang_ups: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __enter__(self) -> ScriptedBackend:
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait(PATIENCE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(PATIENCE_S)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def last(self) -> dict[str, Any]:
        """The body of the latest request."""
        return self.requests[-1].body

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve(started))
        self._loop.close()

    async def _serve(self, started: threading.Event) -> None:
        self._stopping = asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await self._stopping.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while (request := await self._request(reader)) is not None and not writer.is_closing():
                await self.script(Connection(reader, writer, request))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self.hang_ups.release()
            writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> Request | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        request = Request(first.split(" ")[1], headers, json.loads(raw) if raw else {})
        if raw:
            self.requests.append(request)
        return request
