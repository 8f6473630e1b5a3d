"""A whole chat completion on its way through: the model gets its public name, usage and finish reason are noted."""

from __future__ import annotations

import re
from typing import Any

import orjson

from gateway.errors import BackendFailed, BackendRefused, error_fields
from gateway.types import Usage

# Of what a backend says that goes into a record: a count that fits any database, and a word, not a book.
MOST_TOKENS = 2**53
MOST_CHARACTERS = 100


def read_answer(raw: bytes, public_model: str) -> tuple[bytes, Usage, str | None]:
    """The body for the client, what was spent, and why it ended. BackendFailed: it is no chat completion."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BackendFailed("The backend's answer is not valid JSON.") from error
    if not isinstance(body, dict) or not isinstance(body.get("choices"), list):
        fields = error_fields(raw)
        if fields is not None:
            raise BackendRefused(502, {}, fields)
        raise BackendFailed("The backend's answer is no chat completion.")
    reasons = [choice.get("finish_reason") for choice in body["choices"] if isinstance(choice, dict)]
    reason = next((str(reason)[:MOST_CHARACTERS] for reason in reasons if reason), None)
    return Renamed(public_model).answer(body, raw), read_usage(body.get("usage")), reason


class Renamed:
    """Puts the public name into answers, byte by byte: whatever else a backend says stays as it said it."""

    def __init__(self, public_model: str) -> None:
        self._public = public_model
        self._new = b'"model":' + orjson.dumps(public_model)
        self._known: str | None = None
        self._old = b""

    def answer(self, body: dict[str, Any], raw: bytes) -> bytes:
        name = body.get("model")
        if name == self._public:
            return raw
        if isinstance(name, str):
            if name != self._known:
                self._known, self._old = name, b'"model":' + orjson.dumps(name)
            # Quotes inside JSON strings are escaped, so this cannot match inside a model's own text.
            if self._old in raw:
                return raw.replace(self._old, self._new)
            spaced = re.compile(rb'"model"\s*:\s*' + re.escape(orjson.dumps(name)))
            if spaced.search(raw):
                return spaced.sub(lambda _: self._new, raw)
        return _dumped({**body, "model": self._public})

    def event(self, chunk: dict[str, Any], event: bytes) -> bytes:
        """The same for one event of a stream, where a name may be left out."""
        name = chunk.get("model")
        if name is None or name == self._public:
            return event
        if name == self._known and self._old in event:
            return event.replace(self._old, self._new)
        renamed = self.answer(chunk, event)
        return renamed if renamed.endswith(b"\n\n") else b"data: " + renamed + b"\n\n"


def read_usage(usage: Any) -> Usage:
    """Token counts out of a `usage` object; a count that is missing or no sensible whole number is None."""
    if not isinstance(usage, dict):
        return Usage()
    details = usage.get("completion_tokens_details")
    reasoning = details.get("reasoning_tokens") if isinstance(details, dict) else None
    return Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")), _count(reasoning))


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < MOST_TOKENS else None


def _dumped(body: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise BackendFailed("The backend's answer is nested too deeply.") from error
