"""A client connection with limits that uvicorn lacks: on the size and time of a request's head, on the time of its
body, and on the time that a client may stop reading an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.api.asgi import SAFE_HEADERS
from gateway.config.server import ServerSettings
from gateway.core.errors import BadHttp, GatewayError, HeadTooLarge, TooManyConnections, TooSlow
from gateway.core.scope_extension import BODY_TOO_SLOW, ON_HANG_UP
from gateway.serving.connections import Connections

# How long to read and discard input after a refusal: closing at once would reset the connection, and the client could
# not read the error.
LINGER_S = 2.0
# Wire bytes allowed per body byte: a body in one-byte chunks needs six. More than that, plus the size of a head, are
# endless trailers.
CHUNK_OVERHEAD = 8


class Connection(HttpToolsProtocol):
    """One connection. `leave` closes it gracefully."""

    def __init__(self, limits: ServerSettings, all_connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self._limits = limits
        self._all = all_connections
        self._admitted = False
        self.origin: str | None = None
        self._piece = 0
        self._received = 0
        self._body_bytes = 0
        self._in_head = False
        self._in_body = False
        self._refused: GatewayError | None = None
        self._leaving = False
        self._hung_up: Callable[[], object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.origin = self._all.origin(self.client[0] if self.client else None)
        self._admitted = self._all.open(self)
        if self._admitted:
            self._arm(self._limits.header_timeout_s, self._too_slow)
        else:
            self._refuse(TooManyConnections())

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._disarm_writing()
        super().connection_lost(exc)
        if self._admitted:
            self._all.closed(self)
        if self._hung_up is not None:
            self._hung_up()

    def data_received(self, data: bytes) -> None:
        if self._refused is not None:
            return
        self._piece = len(data)
        self._received += self._piece
        super().data_received(data)
        if self._in_head and self._refused is None:
            if self._received > self._limits.max_header_bytes:
                self._refuse(self._too_large())
            elif self._timer is None:
                self._arm(self._limits.header_timeout_s, self._too_slow)
        elif self._in_body and self._refused is None:
            if self._received > 2 * self._limits.max_header_bytes + CHUNK_OVERHEAD * self._body_bytes:
                self._refuse(self._too_large())
            elif self._timer is None:
                self._arm(self._limits.body_timeout_s, self._body_too_slow)

    def on_message_begin(self) -> None:
        self._in_head = True
        self._all.begins_head(self)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._disarm()
        if len(self.headers) > self._limits.max_headers or self._head_bytes() > self._limits.max_header_bytes:
            self._refused = self._too_large()
            raise self._refused  # stops the parser, which calls `send_400_response`
        self._in_body = True
        self._all.works(self)
        self.scope["extensions"] = {ON_HANG_UP: {"register": self._on_hang_up}}
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._received = self._body_bytes = 0
        self._in_body = False
        self._disarm()
        super().on_message_complete()
        if self.cycle.response_complete:
            # The answer was sent before the request ended, which cancelled uvicorn's keep-alive timer.
            self._arm(self.timeout_keep_alive, self.transport.close)

    def on_response_complete(self) -> None:
        self._hung_up = None
        unread = self.cycle.more_body
        super().on_response_complete()
        if unread:
            self._arm(LINGER_S, self.transport.close)
        elif self.cycle.response_complete and not self.transport.is_closing():
            self._all.idles(self)
            if self._in_head:
                self._all.begins_head(self)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(self._limits.write_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._disarm_writing()

    def send_400_response(self, msg: str) -> None:
        """The client sent invalid HTTP: answer with an OpenAI-style error."""
        self._refuse(self._refused or BadHttp("The request is not valid HTTP."))

    def give_way(self) -> None:
        """Close at once, to make room for another connection."""
        self.transport.abort()

    def leave(self, grace_s: float) -> None:
        """Close after the current answer; if there is none, after `grace_s` seconds without a request."""
        if self._leaving:
            return
        self._leaving = True
        self.timeout_keep_alive = grace_s  # type: ignore[assignment]
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(grace_s, self.timeout_keep_alive_handler)
        elif (self.cycle is None or self.cycle.response_complete) and not self._in_head and not self._in_body:
            self._arm(grace_s, self._too_slow)
        elif self.cycle is not None and not self.cycle.response_started:
            # If the headers are sent already, the client may reuse the connection, so it gets the grace period first.
            self.cycle.keep_alive = False

    def _on_hang_up(self, then: Callable[[], object]) -> None:
        self._hung_up = then

    def _head_bytes(self) -> int:
        """An upper bound of the head's size, computed exactly only if it may exceed the limit."""
        if self._received + self._piece <= self._limits.max_header_bytes:
            return self._received
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _too_large(self) -> GatewayError:
        count, size = self._limits.max_headers, self._limits.max_header_bytes
        return HeadTooLarge(f"The request has more than {count} headers, or they are larger than {size} bytes.")

    def _too_slow(self) -> None:
        self._timer = None
        if self._in_head:
            self._refuse(TooSlow(f"The headers took longer than {self._limits.header_timeout_s:g} s."))
        else:
            self.transport.close()

    def _body_too_slow(self) -> None:
        """Notify the reader of the body, and close the connection if it does not answer."""
        self.cycle.scope["extensions"][BODY_TOO_SLOW] = {}
        self.cycle.message_event.set()
        self._arm(LINGER_S, self.transport.close)

    def _refuse(self, error: GatewayError) -> None:
        """Send an error outside any request, stop reading, and close."""
        self._refused = error
        self.flow.resume_reading()
        if self.cycle is not None and not self.cycle.response_complete:
            if self.cycle.response_started or not self._in_body:
                self.transport.close()  # an answer has begun, and this one must not be mixed into it
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        body = error.body()
        safe = "".join(f"{name}: {value}\r\n" for name, value in SAFE_HEADERS.items())
        head = (
            f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n{safe}"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._arm(LINGER_S, self.transport.close)

    def _arm(self, seconds: float, then: Callable[[], object]) -> None:
        self._disarm()
        self._timer = self.loop.call_later(seconds, then)

    def _disarm_writing(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def limited(limits: ServerSettings, all_connections: Connections) -> type[asyncio.Protocol]:
    """The factory of connections."""
    return partial(Connection, limits, all_connections)  # type: ignore[return-value]
