"""The events of a stream: numbered in the order in which they leave."""

from __future__ import annotations

from typing import Any

from gateway.chat_answer import dumped


class Events:
    """Called with a type and fields it gives the bytes of one event."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, type: str, /, **fields: Any) -> bytes:
        event = {"type": type, "sequence_number": self._count, **fields}
        self._count += 1
        return b"event: " + type.encode() + b"\ndata: " + dumped(event) + b"\n\n"


class Silence(Events):
    """For an answer that is told as a whole."""

    def __call__(self, type: str, /, **fields: Any) -> bytes:
        return b""
