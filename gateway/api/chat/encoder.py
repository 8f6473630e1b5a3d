"""Encodes a chat completion for a chat client: the bytes stay as they are, except the model's name and unrequested
usage.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from gateway.api.chat.renamed import Renamed
from gateway.backends.chat_answer import dumped
from gateway.core.aliases import JsonObject
from gateway.core.errors import GatewayError
from gateway.execution.streaming.chat_stream import DONE

_CHUNK_FIELDS = ("id", "object", "created")


class ChatEncoder:
    def __init__(
        self, public_model: str, hide_usage: bool = False, extension: Callable[[], JsonObject] | None = None
    ) -> None:
        """`extension` returns the effort report, for clients that requested it."""
        self._renamed = Renamed(public_model)
        self._hide_usage = hide_usage
        self._extension = extension
        self._last: dict[str, Any] = {}

    async def whole(self, body: dict[str, Any], raw: bytes) -> bytes:
        if self._extension is None:
            return self._renamed.answer(body, raw)
        return dumped({**body, "model": self._renamed.public, "thinkgate": self._extension()})

    def event(self, chunk: dict[str, Any], event: bytes) -> bytes:
        if self._hide_usage and not chunk.get("choices") and isinstance(chunk.get("usage"), dict):
            return b""
        if self._extension is not None:
            self._last = chunk
        return self._renamed.event(chunk, event)

    async def end(self) -> bytes:
        if self._extension is None:
            return DONE
        # A separate chunk, like usage: the report is complete only now.
        last: dict[str, Any] = {name: value for name, value in self._last.items() if name in _CHUNK_FIELDS}
        last |= {"model": self._renamed.public, "choices": [], "thinkgate": self._extension()}
        return b"data: " + dumped(last) + b"\n\n" + DONE

    def broken(self, error: GatewayError) -> bytes:
        return b"data: " + orjson.dumps({"error": error.fields()}) + b"\n\n"
