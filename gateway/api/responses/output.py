"""Converts the model's output, chunk by chunk, into items (reasoning, text, calls) and their events."""

from __future__ import annotations

import secrets
from typing import Any

from gateway.api.responses.call import ResponseSpec
from gateway.api.responses.events import ResponseEvents
from gateway.api.responses.ids import output_item_id
from gateway.api.responses.logprobs import logprobs_of
from gateway.api.responses.open_items import Logprobs, OpenCall, OpenCustomCall, OpenItem, OpenMessage, OpenReasoning
from gateway.api.responses.turn import Item
from gateway.auth.seal import BoundSeal
from gateway.core.backend_errors import BackendFailed
from gateway.core.reasoning import REASONING_FIELDS


class OutputItems:
    """Reasoning and text items end where another item begins. Calls may be interleaved, so they all end at the end.

    White space before a call is dropped: it comes from templates, and engines leave it in their streams.
    """

    def __init__(self, spec: ResponseSpec, seal: BoundSeal, events: ResponseEvents) -> None:
        self._spec = spec
        self._seal = seal if spec.sealed else None
        self._events = events
        self._items: dict[int, Item] = {}
        self._count = 0
        # The open reasoning or text item, and the open calls by the backend's index.
        self._index = 0
        self._open: OpenReasoning | OpenMessage | None = None
        self._space: list[tuple[str, Logprobs]] = []
        self._calls: dict[int, tuple[int, OpenCall]] = {}
        self._call_ids: set[str] = set()

    def add(self, message: Any, logprobs: Any) -> bytes:
        """The events for a whole message, or for a delta of one. BackendFailed: its format is invalid."""
        if not isinstance(message, dict):
            raise BackendFailed("The backend's answer has a choice without a message.")
        data = b""
        reasoning = next((text for name in REASONING_FIELDS if (text := _text(message, name))), "")
        if reasoning:
            data += self._add_reasoning(reasoning)
        text = _text(message, "content")
        if text:
            data += self._add_text(text, logprobs_of(text, logprobs) if self._spec.logprobs else [])
        refusal = _text(message, "refusal")
        if refusal:
            data += self._add_part("refusal", refusal, [])
        calls = message.get("tool_calls")
        if calls is not None:
            if not isinstance(calls, list):
                raise _invalid_call()
            data += b"".join(self._call(call, position) for position, call in enumerate(calls))
        return data

    def finish(self, complete: bool) -> tuple[list[Item], bytes]:
        """All items, and the events that end the open ones. If the answer is not `complete`, the last item is
        truncated.
        """
        data = [self._flush_space()]
        if complete and not self._count:
            data.append(self._add_part("output_text", "", []))  # an empty answer has an item, too
        still_open: dict[int, OpenItem] = dict(self._calls.values())
        if self._open is not None:
            still_open[self._index] = self._open
        for index in sorted(still_open):
            last = index == self._count - 1
            self._items[index], closed = still_open[index].close("completed" if complete or not last else "incomplete")
            data.append(closed)
        self._open, self._calls = None, {}
        return [self._items[index] for index in sorted(self._items)], b"".join(data)

    def _add_reasoning(self, text: str) -> bytes:
        data = b""
        if not isinstance(self._open, OpenReasoning):
            data += self._end_open()
            index, id = self._next("rs")
            self._index = index
            summary = self._spec.summary is not None
            self._open = OpenReasoning(self._events, index, id, summary=summary, seal=self._seal)
            data += self._open.open()
        return data + self._open.add(text)

    def _add_text(self, text: str, logprobs: Logprobs) -> bytes:
        if text.isspace() and not isinstance(self._open, OpenMessage):
            self._space.append((text, logprobs))
            return b""
        return self._flush_space() + self._add_part("output_text", text, logprobs)

    def _flush_space(self) -> bytes:
        """The events for white space that turned out to be part of the text."""
        space, self._space = self._space, []
        return b"".join(self._add_part("output_text", text, logprobs) for text, logprobs in space)

    def _add_part(self, kind: str, text: str, logprobs: Logprobs) -> bytes:
        data = b""
        if not isinstance(self._open, OpenMessage):
            data += self._end_open()
            self._index, id = self._next("msg")
            self._open = OpenMessage(self._events, self._index, id)
            data += self._open.open()
        return data + self._open.add(kind, text, logprobs)

    def _call(self, call: Any, position: int) -> bytes:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict):
            raise _invalid_call()
        number = call.get("index", position)
        data = b""
        if type(number) is not int:
            raise _invalid_call()
        if number not in self._calls:
            name = _text(function, "name")
            if not name:
                raise _invalid_call()
            self._space = []
            data += self._end_open() + self._begin_call(number, _text(call, "id"), name)
        arguments = _text(function, "arguments")
        return data + (self._calls[number][1].add(arguments) if arguments else b"")

    def _begin_call(self, number: int, call: str, name: str) -> bytes:
        if not call or call in self._call_ids:
            call = f"call_{secrets.token_hex(12)}"
        self._call_ids.add(call)
        custom = name in self._spec.custom
        index, id = self._next("ctc" if custom else "fc")
        opened = (OpenCustomCall if custom else OpenCall)(self._events, index, id, call, name)
        self._calls[number] = index, opened
        return opened.open()

    def _end_open(self) -> bytes:
        if self._open is None:
            return b""
        self._items[self._index], data = self._open.close("completed")
        self._open = None
        return data

    def _next(self, kind: str) -> tuple[int, str]:
        index = self._count
        self._count += 1
        return index, output_item_id(self._spec.id, kind, index)


def _text(message: dict[str, Any], name: str) -> str:
    value = message.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BackendFailed(f"The backend's answer has a {name} that is not a string.")
    return value


def _invalid_call() -> BackendFailed:
    return BackendFailed("The backend's answer has an invalid tool call.")
