"""Replaces the model's name in answers by its public name."""

from __future__ import annotations

import re
from typing import Any

import orjson

from gateway.backends.chat_answer import dumped


class Renamed:
    """Replaces the name in the serialised bytes, so that everything else stays exactly as the backend sent it."""

    def __init__(self, public_model: str) -> None:
        self.public = public_model
        self._new = b'"model":' + orjson.dumps(public_model)
        self._known: str | None = None
        self._old = b""

    def answer(self, body: dict[str, Any], raw: bytes) -> bytes:
        name = body.get("model")
        if name == self.public:
            return raw
        if isinstance(name, str):
            if name != self._known:
                self._known, self._old = name, b'"model":' + orjson.dumps(name)
            # Quotes inside JSON strings are escaped, so this cannot match inside generated text.
            if self._old in raw:
                return raw.replace(self._old, self._new)
            spaced = re.compile(rb'"model"\s*:\s*' + re.escape(orjson.dumps(name)))
            if spaced.search(raw):
                return spaced.sub(lambda _: self._new, raw)
        return dumped({**body, "model": self.public})

    def event(self, chunk: dict[str, Any], event: bytes) -> bytes:
        """The same for one event of a stream, which may lack a name."""
        name = chunk.get("model")
        if name is None or name == self.public:
            return event
        if name == self._known and self._old in event:
            return event.replace(self._old, self._new)
        renamed = self.answer(chunk, event)
        return renamed if renamed.endswith(b"\n\n") else b"data: " + renamed + b"\n\n"
