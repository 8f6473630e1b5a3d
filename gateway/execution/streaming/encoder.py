"""Interfaces for encoding answers: backends send chat completions, which each dialect converts to its own form."""

from __future__ import annotations

from typing import Any, Protocol

from gateway.core.errors import GatewayError


class EventSink(Protocol):
    """A sink for each event of a stream, raw and parsed."""

    def event(self, chunk: dict[str, Any], event: bytes) -> bytes:
        """The bytes to forward for one event of the stream: any number of events, or none."""
        ...


class ResponseEncoder(EventSink, Protocol):
    """One per request. When `whole` or `end` is called, the usage is known.

    An error raised before the client has received anything is sent with its own status.
    """

    async def whole(self, body: dict[str, Any], raw: bytes) -> bytes:
        """The body of a plain answer, from a chat completion and its serialised form."""
        ...

    async def end(self) -> bytes:
        """The events that end a complete stream."""
        ...

    def broken(self, error: GatewayError) -> bytes:
        """The event that ends a failed stream."""
        ...
