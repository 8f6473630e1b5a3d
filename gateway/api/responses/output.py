"""Turns a model's output, piece by piece, into items (reasoning, text, calls) and their events."""

from __future__ import annotations

import secrets
from typing import Any

from gateway.api.responses.call import ResponseSpec
from gateway.api.responses.events import ResponseEvents
from gateway.api.responses.ids import output_item_id
from gateway.api.responses.logprobs import logprobs_of
from gateway.api.responses.open_items import Logprobs, OpenCall, OpenCustomCall, OpenItem, OpenMessage, OpenThought
from gateway.api.responses.turn import Item
from gateway.auth.seal import BoundSeal
from gateway.core.backend_errors import BackendFailed
from gateway.core.reasoning import REASONING_FIELDS


class OutputItems:
    """A thought or a text ends where something else begins. Calls may come interleaved, and all end at the end.

    Space before a call is no text: templates put some there, and engines leave it in their streams.
    """

    def __init__(self, wanted: ResponseSpec, seal: BoundSeal, events: ResponseEvents) -> None:
        self._wanted = wanted
        self._seal = seal if wanted.sealed else None
        self._events = events
        self._items: dict[int, Item] = {}
        self._count = 0
        # The thought or text that is being said, and the calls by the backend's number for them.
        self._index = 0
        self._said: OpenThought | OpenMessage | None = None
        self._space: list[tuple[str, Logprobs]] = []
        self._calls: dict[int, tuple[int, OpenCall]] = {}
        self._called: set[str] = set()

    def add(self, said: Any, logprobs: Any) -> bytes:
        """A whole message, or a piece of one. BackendFailed: it is in no form that chat completions have."""
        if not isinstance(said, dict):
            raise BackendFailed("The backend's answer has a choice without a message.")
        told = b""
        thought = next((text for name in REASONING_FIELDS if (text := _text(said, name))), "")
        if thought:
            told += self._think(thought)
        text = _text(said, "content")
        if text:
            told += self._text(text, logprobs_of(text, logprobs) if self._wanted.logprobs else [])
        refusal = _text(said, "refusal")
        if refusal:
            told += self._say("refusal", refusal, [])
        calls = said.get("tool_calls")
        if calls is not None:
            if not isinstance(calls, list):
                raise _no_call()
            told += b"".join(self._call(call, position) for position, call in enumerate(calls))
        return told

    def finish(self, complete: bool) -> tuple[list[Item], bytes]:
        """All items, and the events that end those which are open. Of an answer that was cut, the last one was."""
        told = [self._tell_space()]
        if complete and not self._count:
            told.append(self._say("output_text", "", []))  # an answer of nothing is one, too
        still: dict[int, OpenItem] = dict(self._calls.values())
        if self._said is not None:
            still[self._index] = self._said
        for index in sorted(still):
            last = index == self._count - 1
            self._items[index], closed = still[index].close("completed" if complete or not last else "incomplete")
            told.append(closed)
        self._said, self._calls = None, {}
        return [self._items[index] for index in sorted(self._items)], b"".join(told)

    def _think(self, text: str) -> bytes:
        told = b""
        if not isinstance(self._said, OpenThought):
            told += self._end_said()
            index, id = self._next("rs")
            self._index = index
            summary = self._wanted.summary is not None
            self._said = OpenThought(self._events, index, id, summary=summary, seal=self._seal)
            told += self._said.open()
        return told + self._said.add(text)

    def _text(self, text: str, logprobs: Logprobs) -> bytes:
        if text.isspace() and not isinstance(self._said, OpenMessage):
            self._space.append((text, logprobs))
            return b""
        return self._tell_space() + self._say("output_text", text, logprobs)

    def _tell_space(self) -> bytes:
        """The space that the text began with after all."""
        space, self._space = self._space, []
        return b"".join(self._say("output_text", text, logprobs) for text, logprobs in space)

    def _say(self, kind: str, text: str, logprobs: Logprobs) -> bytes:
        told = b""
        if not isinstance(self._said, OpenMessage):
            told += self._end_said()
            self._index, id = self._next("msg")
            self._said = OpenMessage(self._events, self._index, id)
            told += self._said.open()
        return told + self._said.add(kind, text, logprobs)

    def _call(self, call: Any, position: int) -> bytes:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict):
            raise _no_call()
        number = call.get("index", position)
        told = b""
        if type(number) is not int:
            raise _no_call()
        if number not in self._calls:
            name = _text(function, "name")
            if not name:
                raise _no_call()
            self._space = []
            told += self._end_said() + self._begin_call(number, _text(call, "id"), name)
        arguments = _text(function, "arguments")
        return told + (self._calls[number][1].add(arguments) if arguments else b"")

    def _begin_call(self, number: int, call: str, name: str) -> bytes:
        if not call or call in self._called:
            call = f"call_{secrets.token_hex(12)}"
        self._called.add(call)
        custom = name in self._wanted.custom
        index, id = self._next("ctc" if custom else "fc")
        opened = (OpenCustomCall if custom else OpenCall)(self._events, index, id, call, name)
        self._calls[number] = index, opened
        return opened.open()

    def _end_said(self) -> bytes:
        if self._said is None:
            return b""
        self._items[self._index], told = self._said.close("completed")
        self._said = None
        return told

    def _next(self, kind: str) -> tuple[int, str]:
        index = self._count
        self._count += 1
        return index, output_item_id(self._wanted.id, kind, index)


def _text(said: dict[str, Any], name: str) -> str:
    value = said.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BackendFailed(f"The backend's answer has a {name} that is not text.")
    return value


def _no_call() -> BackendFailed:
    return BackendFailed("The backend's answer has an invalid tool call.")
