"""The events of a stream, numbered in order."""

from __future__ import annotations

from typing import Any

from gateway.backends.chat_answer import dumped


class ResponseEvents:
    """Call with a type and fields to get the bytes of one event; no bytes while `silent`."""

    def __init__(self, silent: bool = False) -> None:
        self.silent = silent
        self._count = 0

    def __call__(self, type: str, /, **fields: Any) -> bytes:
        if self.silent:
            return b""
        event = {"type": type, "sequence_number": self._count, **fields}
        self._count += 1
        return b"event: " + type.encode() + b"\ndata: " + dumped(event) + b"\n\n"
