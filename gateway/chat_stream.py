"""A chat completion stream on its way through: whole events pass as bytes, and only what matters is parsed.

Fed with chunks of any size, it gives back what the client may see now. It renames the model, hides usage that the
client did not ask for, and notices the first token, the finish reason, the usage, an error and the end.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from gateway.chat_answer import read_usage
from gateway.errors import BackendFailed, BackendRefused, GatewayError, error_fields
from gateway.types import Usage

DONE = b"data: [DONE]\n\n"
MAX_EVENT_BYTES = 16 * 1024 * 1024
# Quotes inside JSON strings are escaped, so none of these can match inside a model's own text.
_NOTABLE = re.compile(rb'"usage"\s*:\s*\{|"finish_reason"\s*:\s*"|"error"\s*:|\[DONE\]')
_TOKEN = re.compile(rb'"(?:content|reasoning|reasoning_content)"\s*:\s*"[^"]|"tool_calls"\s*:\s*\[')
_EVENT_END = re.compile(rb"\r?\n\r?\n")


class ChatStream:
    def __init__(self, backend_model: str, public_model: str, hide_usage: bool) -> None:
        name = orjson.dumps(backend_model)
        self._rename = re.compile(rb'"model"\s*:\s*' + re.escape(name)) if backend_model != public_model else None
        self._model = b'"model":' + orjson.dumps(public_model)
        self._hide_usage = hide_usage
        self._rest = b""
        self.usage = Usage()
        self.finish_reason: str | None = None
        self.saw_token = False
        self.done = False
        self.error: GatewayError | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be fed."""
        return self.done or self.error is not None

    def feed(self, chunk: bytes) -> bytes:
        """What may be forwarded now; never the end mark, which waits until the record is written."""
        data = self._rest + chunk if self._rest else chunk
        cut = len(data) if data.endswith(b"\n\n") else _last_end(data)
        data, self._rest = data[:cut], data[cut:]
        if len(self._rest) > MAX_EVENT_BYTES:
            self.error = BackendFailed("The backend sent an event that is too large.")
        if not data or self.ended:
            return b""
        if not self.saw_token:
            self.saw_token = _TOKEN.search(data) is not None
        if self._rename is not None:
            data = self._rename.sub(lambda _: self._model, data)
        return data if _NOTABLE.search(data) is None else self._read(data)

    def finish(self) -> None:
        """No more chunks come. Raises the error that the answer ended in; no finish reason or half an event is one."""
        if not self.ended and (self.finish_reason is None or self._rest.strip()):
            self.error = BackendFailed("The backend ended its stream without finishing the answer.", code="stream_cut")
        if self.error is not None:
            raise self.error

    def _read(self, data: bytes) -> bytes:
        """Go through a block of events one by one."""
        forward: list[bytes] = []
        for event in _EVENT_END.split(data):
            if not event.strip() or self.ended:
                continue
            if self._passes(event):
                forward.append(event + b"\n\n")
        return b"".join(forward)

    def _passes(self, event: bytes) -> bool:
        """Learn from one event; whether the client may see it."""
        payload = b"\n".join(line[5:].lstrip() for line in event.splitlines() if line.startswith(b"data:"))
        if payload == b"[DONE]":
            self.done = True
            return False
        if not payload or _NOTABLE.search(payload) is None:
            return True
        try:
            chunk = orjson.loads(payload)
        except orjson.JSONDecodeError:
            self.error = BackendFailed("The backend sent an event that is not valid JSON.")
            return False
        return not isinstance(chunk, dict) or self._learn(chunk, payload)

    def _learn(self, chunk: dict[str, Any], payload: bytes) -> bool:
        if chunk.get("error"):
            fields = error_fields(payload) or {"message": "The backend failed while answering."}
            code = fields.get("code")
            status = code if isinstance(code, int) and 400 <= code < 600 else 502
            self.error = BackendRefused(status, {}, fields)
            return False
        choices = chunk.get("choices") or []
        for choice in choices:
            if isinstance(choice, dict):
                self.finish_reason = choice.get("finish_reason") or self.finish_reason
        if isinstance(chunk.get("usage"), dict):
            self.usage = read_usage(chunk["usage"])
            return bool(choices) or not self._hide_usage
        return True


def _last_end(data: bytes) -> int:
    """Where the last complete event of a block ends; 0 if none is complete."""
    lf, crlf = data.rfind(b"\n\n"), data.rfind(b"\r\n\r\n")
    return max(lf + 2 if lf >= 0 else 0, crlf + 4 if crlf >= 0 else 0)
