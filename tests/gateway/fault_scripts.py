"""Every way in which a backend can fail, as scripts for the scripted backend."""

from __future__ import annotations

import asyncio
import json

from tests.gateway.scripted import ANSWER, Connection, Script, delta, sse, usage_chunk

BODY = json.dumps(ANSWER).encode()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
SSE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
STREAM = b"".join(map(sse, (delta(role="assistant", content=""), delta(content="four"), delta("stop"), "[DONE]")))
ERROR = {"message": "too many", "type": "rate_limit_error", "param": "messages", "code": "slow_down"}
REFUSED = {
    "retry-after": "7",
    "retry-after-ms": "7100",
    "x-should-retry": "false",
    "x-request-id": "the backend's own",
    "x-internal": "no",
}
MIB = 1024 * 1024


def says(*parts: bytes, then: str = "cut") -> Script:
    """Bytes as they are; then the connection is reset (`cut`), closed, kept in silence (`hang`) or used on (`keep`)."""

    async def script(connection: Connection) -> None:
        for part in parts:
            await connection.send(part)
        if then == "cut":
            connection.cut()
        elif then == "close":
            connection.writer.close()
        elif then == "hang":
            await connection.hung_up()

    return script


def streams(*events: bytes, then: str = "end") -> Script:
    """A chunked stream; then it ends (`end`), or as `says` would."""

    async def script(connection: Connection) -> None:
        await connection.begin_stream()
        for event in events:
            await connection.chunk(event)
        if then == "end":
            await connection.end_stream()
        else:
            await says(then=then)(connection)

    return script


def refuses(status: int) -> Script:
    async def script(connection: Connection) -> None:
        await connection.answer(status, json.dumps({"error": ERROR}).encode(), REFUSED)

    return script


def sized(head: bytes, body: bytes, length: int, then: str) -> Script:
    """A body with this content length."""
    return says(head + b"content-length: %d\r\n\r\n" % length + body, then=then)


async def byte_by_byte(connection: Connection) -> None:
    """A correct stream, sent byte by byte."""
    await connection.begin_stream()
    for index in range(len(STREAM)):
        await connection.chunk(STREAM[index : index + 1])
    await connection.end_stream()


async def drip(connection: Connection) -> None:
    """Sends a small piece at short intervals, for ever."""
    await connection.begin_stream()
    while not connection.writer.is_closing():
        await connection.event(delta(content="x"))
        await asyncio.sleep(0.01)


async def drips_headers(connection: Connection) -> None:
    """Sends another header at short intervals, for ever."""
    await connection.send(HEAD)
    while not connection.writer.is_closing():
        await connection.send(b"x: y\r\n")
        await asyncio.sleep(0.02)


async def drips_refusal(connection: Connection) -> None:
    """Sends an error status at once, but never its body."""
    await connection.send(b"HTTP/1.1 503 X\r\ntransfer-encoding: chunked\r\n\r\n")
    while not connection.writer.is_closing():
        await connection.chunk(b" ")
        await asyncio.sleep(0.02)


def refuses_in_pieces(status: int) -> Script:
    async def script(connection: Connection) -> None:
        body = json.dumps({"error": ERROR}).encode()
        await connection.send(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n" % (status, len(body)))
        for index in range(0, len(body), 20):
            await connection.send(body[index : index + 20])
            await asyncio.sleep(0.001)

    return script


async def huge_line(connection: Connection) -> None:
    """Sends 50 MB without a line feed."""
    await connection.begin_stream()
    for _ in range(50):
        await connection.chunk(b"x" * MIB)
    await connection.end_stream()


FIRST = sse(delta(content="fo"))
TWICE = (sse(delta(content="four")), sse(delta("stop")), sse(usage_chunk()), sse(usage_chunk()), sse("[DONE]"))
