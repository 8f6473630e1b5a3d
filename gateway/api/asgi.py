"""Reading requests and sending responses over ASGI, for every dialect."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import aclosing
from typing import Any

from gateway.core.aliases import Headers
from gateway.core.errors import BodyTooLarge, TooSlow
from gateway.core.header_value import is_safe, safe
from gateway.core.memory import LargeBytes
from gateway.core.scope_extension import BODY_TOO_SLOW, extensions
from gateway.pipeline import Answer

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_VALID_ID = re.compile(r"[A-Za-z0-9._:+/=@-]{1,128}")
_VALID_TRACE = re.compile(r"[\x20-\x7e]{1,1024}")
_JOINED = {b"tracestate": ",", b"authorization": "\n", b"x-api-key": "\n", b"x-thinkgate-class": ", "}
_TRACE_HEADERS = ("traceparent", "tracestate")
# Of every response: no content sniffing, and no caching.
SAFE_HEADERS = {"x-content-type-options": "nosniff", "cache-control": "no-store"}
SAFE_HEADERS_ENCODED = [(name.encode(), value.encode()) for name, value in SAFE_HEADERS.items()]


class HungUp(Exception):
    """The client disconnected before its request was complete."""


def read_headers(scope: Scope) -> dict[str, str]:
    """The headers by lower-case name; the last value of a repeated header wins. Repeated `tracestate` headers are
    joined; repeated credentials are joined by line feeds and classes of work by commas, so that both are refused.
    """
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    if len(headers) < len(scope["headers"]):
        for joined, separator in _JOINED.items():
            values = [value.decode("latin-1") for name, value in scope["headers"] if name == joined]
            if values:
                headers[joined.decode()] = separator.join(values)
    return headers


def client_request_id(headers: Headers) -> str | None:
    """The client's own request id, if it sent a valid one."""
    given = headers.get("x-request-id", "")
    return given if _VALID_ID.fullmatch(given) else None


def client_retries(headers: Headers) -> int:
    """How often the client's SDK has retried this request, as its header says; 0 without the header."""
    count = headers.get("x-stainless-retry-count", "")
    return int(count) if count.isascii() and count.isdecimal() and len(count) < 4 else 0


def forwarded(headers: Headers, request_id: str) -> dict[str, str]:
    """The headers to forward to the backend. The client's credentials are for the gateway and are not forwarded."""
    forwarded = {"x-request-id": request_id}
    for name in _TRACE_HEADERS:
        value = headers.get(name)
        if value is not None and _VALID_TRACE.fullmatch(value):
            forwarded[name] = value
    return forwarded


def announced_size(headers: Headers) -> int:
    """The size of the body in bytes according to `content-length`; 0 if unknown."""
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdecimal() and len(length) < 16 else 0


async def read_body(
    scope: Scope, receive: Receive, limit: int, arrived: Callable[[int], None] = lambda size: None
) -> bytes:
    """The whole body. BodyTooLarge: over `limit` bytes; TooSlow: not in time; HungUp: the client disconnected.

    `arrived` is called with the size so far after each chunk, and may raise.
    """
    parts: LargeBytes | None = None
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HungUp
        part: bytes = message.get("body", b"")
        if not part and BODY_TOO_SLOW in extensions(scope):
            raise TooSlow("The request body did not arrive in time.")
        size += len(part)
        if size > limit:
            raise BodyTooLarge(f"The request body is larger than {limit} bytes.")
        arrived(size)
        more = bool(message.get("more_body"))
        if parts is None:
            if not more:
                return part
            parts = LargeBytes()
        parts.write(part)
        if not more:
            return parts.value()


async def send_answer(send: Send, headers: Headers, answer: Answer) -> None:
    """Send a complete answer, or a stream whose first events are available already."""
    if answer.rest is None:
        await send_json(send, 200, answer.first, headers)
        return
    headers = {"content-type": "text/event-stream; charset=utf-8", **headers}
    async with aclosing(answer.rest):  # release the backend at once, however this ends
        await send({"type": "http.response.start", "status": 200, "headers": _encoded(headers)})
        await send({"type": "http.response.body", "body": answer.first, "more_body": True})
        async for events in answer.rest:
            await send({"type": "http.response.body", "body": events, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def send_json(send: Send, status: int, body: bytes, headers: Headers) -> None:
    headers = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    await send({"type": "http.response.start", "status": status, "headers": _encoded(headers)})
    await send({"type": "http.response.body", "body": body})


def _encoded(headers: Headers) -> list[tuple[bytes, bytes]]:
    if not is_safe("".join(headers.values())):
        headers = {name: safe(value) for name, value in headers.items()}
    return [(name.encode(), value.encode()) for name, value in headers.items()] + SAFE_HEADERS_ENCODED
