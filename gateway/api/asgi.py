"""ASGI in and out: what every dialect needs of a request, and how answers leave."""

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

_SANE_ID = re.compile(r"[A-Za-z0-9._:+/=@-]{1,128}")
_SANE_VALUE = re.compile(r"[\x20-\x7e]{1,1024}")
_JOINED = {b"tracestate": ",", b"authorization": "\n", b"x-api-key": "\n"}
_TRACE_HEADERS = ("traceparent", "tracestate")


class HungUp(Exception):
    """The client left before its request was complete."""


def read_headers(scope: Scope) -> dict[str, str]:
    """The headers, names in lower case; the last value of a repeated one. Repeated trace states are joined; repeated
    credentials are all kept, one a line, so that authentication can refuse them.
    """
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    if len(headers) < len(scope["headers"]):
        for kind, between in _JOINED.items():
            several = [value.decode("latin-1") for name, value in scope["headers"] if name == kind]
            if several:
                headers[kind.decode()] = between.join(several)
    return headers


def given_id(headers: Headers) -> str | None:
    """The client's own request id, if it sent a sane one."""
    given = headers.get("x-request-id", "")
    return given if _SANE_ID.fullmatch(given) else None


def client_retries(headers: Headers) -> int:
    """How often the client's SDK says that it has tried this request before."""
    count = headers.get("x-stainless-retry-count", "")
    return int(count) if count.isascii() and count.isdecimal() and len(count) < 4 else 0


def forwarded(headers: Headers, request_id: str) -> dict[str, str]:
    """The headers that go on to the backend. The client's credentials are for the gateway and do not."""
    kept = {"x-request-id": request_id}
    for name in _TRACE_HEADERS:
        value = headers.get(name)
        if value is not None and _SANE_VALUE.fullmatch(value):
            kept[name] = value
    return kept


def announced_size(headers: Headers) -> int:
    """How large the body is going to be, in bytes; 0 if nobody says."""
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdecimal() and len(length) < 16 else 0


async def read_body(
    scope: Scope, receive: Receive, limit: int, arrived: Callable[[int], None] = lambda size: None
) -> bytes:
    """The whole body. BodyTooLarge beyond the limit, in bytes; TooSlow if it is late; HungUp if the client leaves.

    `arrived` is called with the size so far at each piece, and may raise.
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
    """A whole answer, or a stream whose first events are there already."""
    if answer.rest is None:
        await send_json(send, 200, answer.first, headers)
        return
    headers = {"content-type": "text/event-stream; charset=utf-8", **headers}
    async with aclosing(answer.rest):  # the backend is let go at once, wherever this stops
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
    every = "".join(headers.values())
    if not is_safe(every):
        headers = {name: safe(value) for name, value in headers.items()}
    return [(name.encode(), value.encode()) for name, value in headers.items()]
