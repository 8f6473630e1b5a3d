"""The backend behind every proxy: it answers at once, always the same, so that only the proxy's cost is seen."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

CHUNKS = 14
USAGE = {
    "prompt_tokens": 40,
    "completion_tokens": 60,
    "total_tokens": 100,
    "completion_tokens_details": {"reasoning_tokens": 40},
}


def _plain() -> bytes:
    message = {"role": "assistant", "content": "x" * 200, "reasoning": "y" * 400}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}
    body = json.dumps(answer).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def _events() -> list[bytes]:
    def event(choices: list[Any], **more: Any) -> bytes:
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **more}
        return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"

    def delta(finish: str | None = None, **fields: str) -> bytes:
        return event([{"index": 0, "delta": fields, "finish_reason": finish}])

    thought, words = [delta(reasoning="ab")] * 6, [delta(content="cd")] * (CHUNKS - 10)
    return [
        delta(role="assistant", content=""),
        *thought,
        *words,
        delta("stop"),
        event([], usage=USAGE),
        b"data: [DONE]\n\n",
    ]


class Upstream:
    """In a thread of this process; `url` ends in /v1."""

    def __enter__(self) -> Upstream:
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve(started)), daemon=True)
        self._thread.start()
        started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self, started: threading.Event) -> None:
        self._plain, self._chunks = _plain(), [b"%x\r\n%s\r\n" % (len(event), event) for event in _events()]
        self._stopping, self._open = asyncio.Event(), set[asyncio.Task[None]]()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        started.set()
        await self._stopping.wait()
        server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while True:
                await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self._open.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        size = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        body = await reader.readexactly(int(size or 0))
        if not json.loads(body or b"{}").get("stream"):
            writer.write(self._plain)
        else:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            for chunk in self._chunks:
                writer.write(chunk)
                # Each chunk leaves by itself, as an engine's do.
                await asyncio.sleep(0)
            writer.write(b"0\r\n\r\n")
        await writer.drain()
