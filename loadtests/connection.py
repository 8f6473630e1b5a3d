"""A connection for many at once: a bare `asyncio.Protocol`, because load, backend and gateway share a machine."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_LAST = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


class Broken(Exception):
    """The answer ended before it was whole."""


@dataclass(slots=True)
class Reply:
    """An answer. `parts` are the pieces of its body, as the transfer was cut; empty where they were handed on."""

    status: int
    head: bytes
    parts: list[bytes] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)


class Connection(asyncio.Protocol):
    """Open with `connect`; then send one request at a time with `ask`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._reply: Reply | None = None
        self._left: int | None = None
        self._chunked = False
        self._answer: asyncio.Future[Reply] | None = None
        self._on_part: Callable[[bytes], None] | None = None
        self.open = False

    @classmethod
    async def connect(cls, port: int) -> Connection:
        """Connect to a port on loopback. OSError if nothing listens there."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    async def ask(self, request: bytes, on_part: Callable[[bytes], None] | None = None) -> Reply:
        """The whole answer. `on_part` gets the pieces of a 200 as they come. Broken if it ends before its end."""
        self._on_part, self._reply = on_part, None
        self._answer = self._loop.create_future()
        if self.open:
            self._transport.write(request)
        else:
            self._answer.set_exception(Broken("the connection was closed"))
        return await self._answer

    def close(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.open = True

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        if self._answer is None or self._answer.done():
            return
        if self._reply is not None and self._left is None and not self._chunked and error is None:
            self._whole()
        else:
            self._answer.set_exception(Broken("broken off" if self._reply else "hung up before it answered"))

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            return
        data = self._buffer + data if self._buffer else data
        if self._reply is None:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = data
                return
            self._begin(data[: end + 2])
            data = data[end + 4 :]
        self._buffer = b""
        if self._chunked:
            self._chunks(data)
        else:
            self._plain(data)

    def _begin(self, head: bytes) -> None:
        length = _LENGTH.search(head)
        self._reply = Reply(int(head[9:12]), head)
        self._left = int(length.group(1)) if length else None
        self._chunked = length is None and _CHUNKED.search(head) is not None

    def _plain(self, data: bytes) -> None:
        if data:
            self._part(data)
        if self._left is not None:
            self._left -= len(data)
            if self._left <= 0:
                self._whole()

    def _chunks(self, data: bytes) -> None:
        at = 0
        while (line := data.find(b"\r\n", at)) >= 0:
            size = int(data[at:line].partition(b";")[0], 16)
            if len(data) < line + 4 + size:
                break
            if size == 0:
                self._whole()
                return
            self._part(data[line + 2 : line + 2 + size])
            at = line + 4 + size
        self._buffer = data[at:]

    def _part(self, data: bytes) -> None:
        assert self._reply is not None
        if self._on_part is not None and self._reply.status == 200:
            self._on_part(data)
        else:
            self._reply.parts.append(data)

    def _whole(self) -> None:
        assert self._reply is not None and self._answer is not None
        if _LAST.search(self._reply.head):
            self.open = False
            self._transport.close()
        self._answer.set_result(self._reply)
