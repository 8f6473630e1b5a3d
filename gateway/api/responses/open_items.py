"""The open items of an answer in progress: each is opened, extended and closed, with events for each step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from gateway.api.responses import output_items
from gateway.api.responses.events import ResponseEvents
from gateway.api.responses.turn import Item
from gateway.auth.seal import BoundSeal

Logprobs = list[dict[str, Any]]


class OpenItem(ABC):
    def __init__(self, events: ResponseEvents, index: int, id: str) -> None:
        self._events = events
        self._index = index
        self._id = id
        self._where = {"item_id": id, "output_index": index}
        self._texts: list[str] = []

    @abstractmethod
    def close(self, status: str) -> tuple[Item, bytes]:
        """The complete item, and the events that end it."""

    def _added(self, item: Item) -> bytes:
        return self._events("response.output_item.added", output_index=self._index, item=item)

    def _done(self, item: Item) -> bytes:
        return self._events("response.output_item.done", output_index=self._index, item=item)


class OpenReasoning(OpenItem):
    """With a `seal`, the item has encrypted content, too; with `summary`, the text is repeated as a summary."""

    def __init__(self, events: ResponseEvents, index: int, id: str, *, summary: bool, seal: BoundSeal | None) -> None:
        super().__init__(events, index, id)
        self._summary = summary
        self._seal = seal

    def open(self) -> bytes:
        events, where = self._events, self._where
        data = self._added({"type": "reasoning", "id": self._id, "summary": [], "content": [], "status": "in_progress"})
        data += events("response.content_part.added", **where, content_index=0, part=output_items.reasoning_part(""))
        if self._summary:
            part = output_items.summary_part("")
            data += events("response.reasoning_summary_part.added", **where, summary_index=0, part=part)
        return data

    def add(self, text: str) -> bytes:
        self._texts.append(text)
        data = self._events("response.reasoning_text.delta", **self._where, content_index=0, delta=text)
        if self._summary:
            data += self._events("response.reasoning_summary_text.delta", **self._where, summary_index=0, delta=text)
        return data

    def close(self, status: str) -> tuple[Item, bytes]:
        events, where, text = self._events, self._where, "".join(self._texts)
        sealed = None if self._seal is None else self._seal.close(text)
        item = output_items.reasoning_item(self._id, text, status, summary=self._summary, sealed=sealed)
        data = events("response.reasoning_text.done", **where, content_index=0, text=text)
        part = output_items.reasoning_part(text)
        data += events("response.content_part.done", **where, content_index=0, part=part)
        if self._summary:
            data += events("response.reasoning_summary_text.done", **where, summary_index=0, text=text)
            part = output_items.summary_part(text)
            data += events("response.reasoning_summary_part.done", **where, summary_index=0, part=part)
        return item, data + self._done(item)


class OpenMessage(OpenItem):
    """A message with a part for its text, its refusal, or both in turn."""

    def __init__(self, events: ResponseEvents, index: int, id: str) -> None:
        super().__init__(events, index, id)
        self._content: list[dict[str, Any]] = []
        self._kind: str | None = None
        self._logprobs: Logprobs = []

    def open(self) -> bytes:
        return self._added(output_items.message_item(self._id, [], "in_progress"))

    def add(self, kind: str, text: str, logprobs: Logprobs) -> bytes:
        """Extend the part of this type, or begin one."""
        data = b"" if kind == self._kind else self._end_part() + self._begin_part(kind)
        if not text:
            return data
        self._texts.append(text)
        self._logprobs += logprobs
        where = {**self._where, "content_index": len(self._content)}
        if kind == "refusal":
            return data + self._events("response.refusal.delta", **where, delta=text)
        return data + self._events("response.output_text.delta", **where, delta=text, logprobs=logprobs)

    def close(self, status: str) -> tuple[Item, bytes]:
        data = self._end_part()
        item = output_items.message_item(self._id, self._content, status)
        return item, data + self._done(item)

    def _begin_part(self, kind: str) -> bytes:
        self._kind, self._texts, self._logprobs = kind, [], []
        part = _part(kind, "", [])
        index = len(self._content)
        return self._events("response.content_part.added", **self._where, content_index=index, part=part)

    def _end_part(self) -> bytes:
        if self._kind is None:
            return b""
        text = "".join(self._texts)
        part = _part(self._kind, text, self._logprobs)
        where = {**self._where, "content_index": len(self._content)}
        if self._kind == "refusal":
            data = self._events("response.refusal.done", **where, refusal=text)
        else:
            data = self._events("response.output_text.done", **where, text=text, logprobs=self._logprobs)
        data += self._events("response.content_part.done", **where, part=part)
        self._content.append(part)
        self._kind = None
        return data


class OpenCall(OpenItem):
    def __init__(self, events: ResponseEvents, index: int, id: str, call: str, name: str) -> None:
        super().__init__(events, index, id)
        self._head = id, call, name

    def open(self) -> bytes:
        return self._added(self._item("", "in_progress"))

    def add(self, arguments: str) -> bytes:
        self._texts.append(arguments)
        return self._events("response.function_call_arguments.delta", **self._where, delta=arguments)

    def close(self, status: str) -> tuple[Item, bytes]:
        item = self._item("".join(self._texts), status)
        return item, self._input_done(item) + self._done(item)

    def _item(self, arguments: str, status: str) -> Item:
        return output_items.call_item(*self._head, arguments, status)

    def _input_done(self, item: Item) -> bytes:
        given = {"name": item["name"], "arguments": item["arguments"]}
        return self._events("response.function_call_arguments.done", **self._where, **given)


class OpenCustomCall(OpenCall):
    """Its input is sent in one piece at the end, since it is encoded inside a function's arguments."""

    def add(self, arguments: str) -> bytes:
        self._texts.append(arguments)
        return b""

    def _item(self, arguments: str, status: str) -> Item:
        return output_items.custom_call_item(*self._head, arguments, status)

    def _input_done(self, item: Item) -> bytes:
        given = item["input"]
        data = self._events("response.custom_tool_call_input.delta", **self._where, delta=given)
        return data + self._events("response.custom_tool_call_input.done", **self._where, input=given)


def _part(kind: str, text: str, logprobs: Logprobs) -> dict[str, Any]:
    return output_items.refusal_part(text) if kind == "refusal" else output_items.text_part(text, logprobs)
