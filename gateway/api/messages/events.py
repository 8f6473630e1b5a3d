"""The events of a stream: content blocks one after the other, each with a start, deltas and a stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson

from gateway.api.messages.answer import calls_in, function_in, input_of, stop_fields, text_in, thought_in
from gateway.api.messages.parts import Json
from gateway.api.messages.thoughts import Thoughts
from gateway.core.backend_errors import BackendFailed

PING = b'event: ping\ndata: {"type":"ping"}\n\n'
# Interval of pings while hidden reasoning is generated, in seconds.
PING_EVERY_S = 10.0


def event(kind: str, **fields: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + orjson.dumps({"type": kind, **fields}) + b"\n\n"


class MessageEvents:
    """Converts the deltas of a chat completion to events."""

    def __init__(self, thoughts: Thoughts, id: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`id` is part of the ids of calls for which the backend sends none; `clock` is in seconds."""
        self._thoughts = thoughts
        self._clock = clock
        self._pinged = 0.0
        self._id = id
        self._index = -1
        self._kind = ""
        self._thought: list[str] = []
        self._blank: list[str] = []
        self._after_call: list[str] = []
        self._call, self._call_id = -1, ""
        self._arguments: list[str] = []
        self._called = False
        self._finish: Any = None
        self._choice: Json = {}

    def feed(self, choice: Json) -> bytes:
        """The events for one choice. BackendFailed: a call lacks a name, calls are interleaved, or arguments are
        invalid.
        """
        delta = choice.get("delta")
        if choice.get("finish_reason"):
            self._finish, self._choice = choice["finish_reason"], choice
        if not isinstance(delta, dict):
            return b""
        thought, text, calls = thought_in(delta), text_in(delta), calls_in(delta)
        data = [self._think(thought)] if thought else []
        if text:
            data.append(self._say(text))
        data += map(self._use, calls)
        return b"".join(data)

    def end(self) -> bytes:
        """The end of the last block. A message without blocks gets an empty one, since clients read the first."""
        data = self._stop()
        if self._blank and not self._called:
            data += self._begin_text() + self._stop()
        if self._index < 0:
            data += self._start("text", {"type": "text", "text": ""}) + self._stop()
        return data

    def stop_fields(self) -> Json:
        return stop_fields(self._finish, self._choice, self._called)

    def _think(self, thought: str) -> bytes:
        data = b""
        if self._kind != "thinking":
            data = self._stop() + self._start("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            self._pinged = self._clock()
        self._thought.append(thought)
        if not self._thoughts.omitted:
            return data + self._delta(type="thinking_delta", thinking=thought)
        now = self._clock()
        if now - self._pinged < PING_EVERY_S:
            return data
        self._pinged = now
        return data + PING

    def _say(self, text: str) -> bytes:
        if self._kind == "tool_use":
            # More of the call may follow, so the text has to wait.
            self._after_call.append(text)
            return b""
        if self._kind == "text":
            return self._delta(type="text_delta", text=text)
        # White space between reasoning and a call is dropped; before a text it is part of the text.
        self._blank.append(text)
        return b"" if text.isspace() else self._stop() + self._begin_text()

    def _begin_text(self) -> bytes:
        text, self._blank = "".join(self._blank), []
        return self._start("text", {"type": "text", "text": ""}) + self._delta(type="text_delta", text=text)

    def _use(self, call: Json) -> bytes:
        name, arguments = function_in(call)
        index = call.get("index")
        place = index if type(index) is int else self._call + bool(name)
        given = call.get("id")
        id = given if isinstance(given, str) else ""
        data = b""
        # Some backends send all calls with the same index.
        if place != self._call or (name and id and id != self._call_id):
            if not name and not arguments:
                return b""
            if not name or place < self._call:
                raise BackendFailed("The backend's tool calls are interleaved.", code="invalid_tool_call")
            data = self._stop()
            self._blank, self._call, self._called = [], place, True
            self._call_id = id or f"toolu_{self._id}_{place}"
            data += self._start("tool_use", {"type": "tool_use", "id": self._call_id, "name": name, "input": {}})
        if arguments:
            if self._kind != "tool_use":
                raise BackendFailed("The backend's tool calls are interleaved.", code="invalid_tool_call")
            self._arguments.append(arguments)
            data += self._delta(type="input_json_delta", partial_json=arguments)
        return data

    def _start(self, kind: str, block: Json) -> bytes:
        self._index += 1
        self._kind = kind
        return event("content_block_start", index=self._index, content_block=block)

    def _delta(self, **delta: Any) -> bytes:
        return event("content_block_delta", index=self._index, delta=delta)

    def _stop(self) -> bytes:
        """The end of the open block, if any, and the text that had to wait for it."""
        if not self._kind:
            return b""
        data = b""
        if self._kind == "thinking":
            data = self._delta(type="signature_delta", signature=self._thoughts.signature("".join(self._thought)))
            self._thought.clear()
        elif self._kind == "tool_use":
            input_of("".join(self._arguments), self._finish == "length")
            self._arguments.clear()
        self._kind = ""
        data += event("content_block_stop", index=self._index)
        waiting, self._after_call = "".join(self._after_call), []
        if waiting.strip():
            self._blank = [waiting]
            data += self._begin_text() + self._stop()
        return data
