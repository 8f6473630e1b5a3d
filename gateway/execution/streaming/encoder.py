"""Encodes an answer for a client: backends speak Chat Completions, which each dialect converts to its own form."""

from __future__ import annotations

from typing import Any, Protocol

from gateway.core.errors import GatewayError


class EventSink(Protocol):
    """A sink for each event of a stream, raw and parsed."""

    def event(self, chunk: dict[str, Any], event: bytes) -> bytes:
        """What is passed on of one event of the stream, now: any number of events of its own."""
        ...


class ResponseEncoder(EventSink, Protocol):
    """One for each request. By the time that `whole` or `end` is called, the exchange knows what was used.

    What it raises before the client has seen anything is told as an error of its own status.
    """

    async def whole(self, body: dict[str, Any], raw: bytes) -> bytes:
        """The body of a plain answer, out of a chat completion and its bytes."""
        ...

    async def end(self) -> bytes:
        """The events that end a stream which is complete."""
        ...

    def broken(self, error: GatewayError) -> bytes:
        """The event in which a stream ends that is not."""
        ...
