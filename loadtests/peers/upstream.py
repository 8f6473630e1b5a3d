"""The backend behind every proxy, a process of its own: it answers at once and always the same, or as it is told.

What it costs is little, because it shares the machine with what is measured: bytes made beforehand, written by an
`asyncio.Protocol`. Each chunk of a stream leaves by itself, as an engine's do. A request says in its own prompt what
is to happen, because every proxy lets the prompt through: `#wait=0.1` answers so many seconds later, `#chunks=50
#every=0.2` streams slowly, with the time in each chunk, `#status=429` refuses, `#cut=1` breaks a stream off, `#id=x`
notes down what arrived, which `seen` gives back.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
import urllib.request
from dataclasses import asdict, dataclass
from typing import Any, cast

CHUNKS = 14
BEFORE_CUT = 4
USAGE = {
    "prompt_tokens": 40,
    "completion_tokens": 60,
    "total_tokens": 100,
    "completion_tokens_details": {"reasoning_tokens": 40},
}
ERROR = {"message": "as you wish", "type": "a_type", "param": "a_param", "code": "a_code"}
RETRY_AFTER_S = 2
# What a token that was asked for its probability looks like.
_TOKEN: dict[str, Any] = {
    "token": "cd",
    "logprob": -0.001,
    "bytes": [99, 100],
    "top_logprobs": [
        {"token": "cd", "logprob": -0.001, "bytes": [99, 100]},
        {"token": "ef", "logprob": -7.5, "bytes": [101, 102]},
    ],
}
PROBE_TOKENS = 10
_ORDER = re.compile(rb"#([a-z]+)=([A-Za-z0-9.-]+)")
_SIZE = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_LOGPROBS = re.compile(rb'"logprobs" *: *true')
_STREAM = re.compile(rb'"stream" *: *true')


@dataclass
class Seen:
    """What arrived under an id. Times are of the machine's monotonic clock; `gone` is when the proxy hung up."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float
    gone: float | None = None


class Upstream:
    """Started on entering, stopped on leaving; `url` ends in /v1."""

    def __enter__(self) -> Upstream:
        command = [sys.executable, "-m", "loadtests.peers.upstream"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def seen(self, name: str) -> list[Seen]:
        """The requests that came in under `#id=name`, oldest first."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/seen/{name}", timeout=10) as answer:
            return [Seen(**row) for row in json.load(answer)]


def plain() -> bytes:
    """A whole answer, thought and all, under both names that engines give the thought."""
    return _answer()


def probe() -> bytes:
    """The same with log-probabilities, of a model that is sure of itself."""
    return _answer(logprobs={"content": [_TOKEN] * PROBE_TOKENS})


def _answer(**more: Any) -> bytes:
    message = {"role": "assistant", "content": "x" * 200, "reasoning": "y" * 400, "reasoning_content": "y" * 400}
    choice = {"index": 0, "message": message, **more, "finish_reason": "stop"}
    answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}
    return _whole(200, {**answer, "a_field_of_tomorrow": {"kept": True}})


def probe_chunks() -> list[bytes]:
    """A streamed answer that is a probe: a token in each chunk."""
    token = {"index": 0, "delta": {"content": "cd"}, "logprobs": {"content": [_TOKEN]}, "finish_reason": None}
    end = [_delta("stop"), _event([], usage=USAGE), _chunk(b"data: [DONE]\n\n")]
    return [_delta(role="assistant", content=""), *[_event([token])] * (CHUNKS - 4), *end]


def chunks() -> list[bytes]:
    """A streamed answer, ready to be written: half of it thought, then words, the end, usage, the end mark."""
    thought = _delta(reasoning="ab", reasoning_content="ab")
    words = [_delta(content="cd")] * (CHUNKS - 10)
    end = [_delta("stop"), _event([], usage=USAGE), _chunk(b"data: [DONE]\n\n")]
    return [_delta(role="assistant", content=""), *[thought] * 6, *words, *end]


def _whole(status: int, body: dict[str, Any], **headers: object) -> bytes:
    raw = json.dumps(body, separators=(",", ":")).encode()  # as engines write it
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(raw)}\r\n{lines}\r\n"
    return head.encode() + raw


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _event(choices: list[Any], **more: Any) -> bytes:
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **more}
    return _chunk(b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n")


def _delta(finish: str | None = None, **fields: str) -> bytes:
    return _event([{"index": 0, "delta": fields, "finish_reason": finish}])


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


class _Answers:
    """What all connections share: the prepared bytes, and what was seen."""

    def __init__(self) -> None:
        self.plain, self.chunks = plain(), chunks()
        self.probe, self.probe_chunks = probe(), probe_chunks()
        self.models = _whole(200, {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "me"}]})
        self.seen: dict[str, list[Seen]] = {}


class _Connection(asyncio.Protocol):
    """One request after the other; what comes before an answer is complete waits."""

    def __init__(self, answers: _Answers) -> None:
        self._answers = answers
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._busy = False
        self._seen: Seen | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._busy and self._seen is not None:
            self._seen.gone = time.monotonic()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._busy:
            self._next()

    def _next(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[: end + 2]
        size = _SIZE.search(head)
        stop = end + 4 + (int(size.group(1)) if size else 0)
        if len(self._buffer) < stop:
            return
        body, self._buffer = self._buffer[end + 4 : stop], self._buffer[stop:]
        self._busy, self._seen = True, None
        if not head.startswith(b"POST"):
            self._end(self._told(head))
            return
        orders = {name.decode(): value.decode() for name, value in _ORDER.findall(body)} if b"#" in body else {}
        if orders:
            self._obey(head, body, orders)
            return
        asked = _LOGPROBS.search(body) is not None
        if _STREAM.search(body):
            self._stream(self._answers.probe_chunks if asked else self._answers.chunks)
        else:
            self._end(self._answers.probe if asked else self._answers.plain)

    def _end(self, data: bytes) -> None:
        self._transport.write(data)
        self._busy = False
        if self._buffer:
            self._next()

    def _stream(self, chunks: list[bytes]) -> None:
        self._transport.write(HEAD)
        self._loop.call_soon(self._one, chunks, 0)

    def _one(self, chunks: list[bytes], index: int) -> None:
        """A chunk in each turn of the loop, so that each is a packet of its own."""
        if self._transport.is_closing():
            return
        if index == len(chunks):
            self._end(END)
            return
        self._transport.write(chunks[index])
        self._loop.call_soon(self._one, chunks, index + 1)

    def _told(self, head: bytes) -> bytes:
        """Answers to a GET: what was seen, and what routers ask of an engine to see that it lives."""
        path = head.split(b" ")[1].decode()
        if path.startswith("/seen/"):
            return _list([asdict(seen) for seen in self._answers.seen.get(path.removeprefix("/seen/"), [])])
        return self._answers.models

    def _obey(self, head: bytes, body: bytes, orders: dict[str, str]) -> None:
        if "id" in orders:
            first, *lines = head.decode("latin-1").strip().split("\r\n")
            pairs = (line.partition(":") for line in lines)
            headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
            self._seen = Seen(first.split(" ")[1], headers, json.loads(body), time.monotonic())
            self._answers.seen.setdefault(orders["id"], []).append(self._seen)
        streamed = _STREAM.search(body) is not None
        self._loop.call_later(float(orders.get("wait", 0)), self._after, orders, streamed)

    def _after(self, orders: dict[str, str], streamed: bool) -> None:
        if self._transport.is_closing():
            return
        status = int(orders.get("status", 200))
        if status != 200:
            hints = {"Retry_After": RETRY_AFTER_S, "x_should_retry": "true"} if status in (429, 503) else {}
            self._end(_whole(status, {"error": ERROR}, **hints))
        elif "cut" in orders:
            self._transport.write(HEAD + b"".join(self._answers.chunks[:BEFORE_CUT]))
            # A moment later, so that what was written has left.
            self._loop.call_later(0.05, self._transport.abort)
        elif "chunks" in orders:
            self._transport.write(HEAD + self._answers.chunks[0])
            self._slow(int(orders["chunks"]), float(orders["every"]), time.monotonic())
        elif streamed:
            self._stream(self._answers.chunks)
        else:
            self._end(self._answers.plain)

    def _slow(self, left: int, every: float, due: float) -> None:
        """One chunk with the time in it, the others to follow on a fixed beat."""
        if self._transport.is_closing():
            return
        if left == 0:
            self._transport.write(b"".join(self._answers.chunks[-3:]))
            self._end(END)
            return
        self._transport.write(_delta(content=f"t={time.monotonic():.6f} "))
        self._loop.call_at(
            self._loop.time() + max(0.0, due + every - time.monotonic()), self._slow, left - 1, every, due + every
        )


def _list(rows: list[dict[str, Any]]) -> bytes:
    raw = json.dumps(rows).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(raw), raw)


async def _serve() -> None:
    answers = _Answers()
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(answers), "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
