"""Encodes a chat completion as a message, whole or as the events of a stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.api.messages import errors
from gateway.api.messages.answer import content, stop_fields, usage_fields
from gateway.api.messages.events import PING, MessageEvents, event
from gateway.api.messages.parts import Json
from gateway.api.messages.thoughts import Thoughts
from gateway.backends.chat_answer import dumped
from gateway.core.aliases import JsonObject
from gateway.core.backend_errors import BackendFailed
from gateway.core.errors import GatewayError


class MessagesEncoder:
    def __init__(
        self,
        model: str,
        id: str,
        request_id: str,
        thoughts: Thoughts,
        extension: Callable[[], JsonObject] | None = None,
    ) -> None:
        """`id` is the message's; `extension` returns the effort report, for clients that requested it."""
        self._model = model
        self._id = id
        self._request_id = request_id
        self._thoughts = thoughts
        self._extension = extension
        self._events = MessageEvents(thoughts, id)
        self._begun = False
        self._usage: Any = None

    async def whole(self, body: dict[str, Any], raw: bytes) -> bytes:
        choice = next((choice for choice in body["choices"] if isinstance(choice, dict)), {})
        message = choice.get("message")
        if not isinstance(message, dict):
            raise BackendFailed("The backend's answer has no message.")
        finish = choice.get("finish_reason")
        blocks = content(message, finish, self._thoughts, self._id)
        called = any(block["type"] == "tool_use" for block in blocks)
        answer = self._message(blocks, stop_fields(finish, choice, called), usage_fields(body.get("usage")))
        if self._extension is not None:
            answer["thinkgate"] = self._extension()
        return dumped(answer)

    def event(self, chunk: dict[str, Any], event: bytes) -> bytes:
        data = [] if self._begun else [self._begin()]
        if isinstance(chunk.get("usage"), dict):
            self._usage = chunk["usage"]
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            # A message has one answer: further choices of a backend are dropped.
            if isinstance(choice, dict) and choice.get("index", 0) == 0:
                data.append(self._events.feed(choice))
        return b"".join(data)

    async def end(self) -> bytes:
        data = b"" if self._begun else self._begin()
        extension = {} if self._extension is None else {"thinkgate": self._extension()}
        data += self._events.end()
        data += event("message_delta", delta=self._events.stop_fields(), usage=usage_fields(self._usage), **extension)
        return data + event("message_stop")

    def broken(self, error: GatewayError) -> bytes:
        return b"event: error\ndata: " + errors.body(error, self._request_id) + b"\n\n"

    def _begin(self) -> bytes:
        self._begun = True
        # The backend reports the number of prompt tokens only at the end.
        nothing = {"stop_reason": None, "stop_sequence": None, "stop_details": None}
        return event("message_start", message=self._message([], nothing, usage_fields(None))) + PING

    def _message(self, blocks: list[Json], stop: Json, usage: Json) -> Json:
        head = {"id": f"msg_{self._id}", "type": "message", "role": "assistant", "model": self._model}
        return {**head, "content": blocks, **stop, "usage": usage}
