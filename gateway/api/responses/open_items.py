"""The items of an answer in progress: each is opened, extended and closed, with events for each step."""

from __future__ import annotations

from typing import Any, Protocol

from gateway.api.responses import output_items
from gateway.api.responses.events import ResponseEvents
from gateway.api.responses.turn import Item
from gateway.auth.seal import BoundSeal

Logprobs = list[dict[str, Any]]


class OpenItem(Protocol):
    def close(self, status: str) -> tuple[Item, bytes]:
        """The whole item, and the events that end it."""
        ...


class OpenThought:
    """`seal` is given if the client wants to carry what it may not read."""

    def __init__(self, events: ResponseEvents, index: int, id: str, *, summary: bool, seal: BoundSeal | None) -> None:
        self._events = events
        self._where = {"item_id": id, "output_index": index}
        self._id = id
        self._summary = summary
        self._seal = seal
        self._said: list[str] = []

    def open(self) -> bytes:
        events, where = self._events, self._where
        item: Item = {"type": "reasoning", "id": self._id, "summary": [], "content": [], "status": "in_progress"}
        told = events("response.output_item.added", output_index=where["output_index"], item=item)
        told += events("response.content_part.added", **where, content_index=0, part=output_items.reasoning_part(""))
        if self._summary:
            part = output_items.summary_part("")
            told += events("response.reasoning_summary_part.added", **where, summary_index=0, part=part)
        return told

    def add(self, text: str) -> bytes:
        self._said.append(text)
        told = self._events("response.reasoning_text.delta", **self._where, content_index=0, delta=text)
        if self._summary:
            told += self._events("response.reasoning_summary_text.delta", **self._where, summary_index=0, delta=text)
        return told

    def close(self, status: str) -> tuple[Item, bytes]:
        events, where, text = self._events, self._where, "".join(self._said)
        sealed = None if self._seal is None else self._seal.close(text)
        item = output_items.reasoning_item(self._id, text, status, summary=self._summary, sealed=sealed)
        told = events("response.reasoning_text.done", **where, content_index=0, text=text)
        part = output_items.reasoning_part(text)
        told += events("response.content_part.done", **where, content_index=0, part=part)
        if self._summary:
            told += events("response.reasoning_summary_text.done", **where, summary_index=0, text=text)
            part = output_items.summary_part(text)
            told += events("response.reasoning_summary_part.done", **where, summary_index=0, part=part)
        return item, told + events("response.output_item.done", output_index=where["output_index"], item=item)


class OpenMessage:
    """A text, or a refusal, or one and then the other: a part for each."""

    def __init__(self, events: ResponseEvents, index: int, id: str) -> None:
        self._events = events
        self._where = {"item_id": id, "output_index": index}
        self._id = id
        self._content: list[dict[str, Any]] = []
        self._kind: str | None = None
        self._said: list[str] = []
        self._logprobs: Logprobs = []

    def open(self) -> bytes:
        item = output_items.message_item(self._id, [], "in_progress")
        return self._events("response.output_item.added", output_index=self._where["output_index"], item=item)

    def add(self, kind: str, text: str, logprobs: Logprobs) -> bytes:
        """More of a part; `kind` is its type."""
        told = b"" if kind == self._kind else self._end_part() + self._begin_part(kind)
        if not text:
            return told
        self._said.append(text)
        self._logprobs += logprobs
        where = {**self._where, "content_index": len(self._content)}
        if kind == "refusal":
            return told + self._events("response.refusal.delta", **where, delta=text)
        return told + self._events("response.output_text.delta", **where, delta=text, logprobs=logprobs)

    def close(self, status: str) -> tuple[Item, bytes]:
        told = self._end_part()
        item = output_items.message_item(self._id, self._content, status)
        index = self._where["output_index"]
        return item, told + self._events("response.output_item.done", output_index=index, item=item)

    def _begin_part(self, kind: str) -> bytes:
        self._kind, self._said, self._logprobs = kind, [], []
        part = _part(kind, "", [])
        index = len(self._content)
        return self._events("response.content_part.added", **self._where, content_index=index, part=part)

    def _end_part(self) -> bytes:
        if self._kind is None:
            return b""
        text = "".join(self._said)
        part = _part(self._kind, text, self._logprobs)
        where = {**self._where, "content_index": len(self._content)}
        if self._kind == "refusal":
            told = self._events("response.refusal.done", **where, refusal=text)
        else:
            told = self._events("response.output_text.done", **where, text=text, logprobs=self._logprobs)
        told += self._events("response.content_part.done", **where, part=part)
        self._content.append(part)
        self._kind = None
        return told


class OpenCall:
    def __init__(self, events: ResponseEvents, index: int, id: str, call: str, name: str) -> None:
        self._events = events
        self._where = {"item_id": id, "output_index": index}
        self._named = id, call, name
        self._said: list[str] = []

    def open(self) -> bytes:
        item = self._item("", "in_progress")
        return self._events("response.output_item.added", output_index=self._where["output_index"], item=item)

    def add(self, arguments: str) -> bytes:
        self._said.append(arguments)
        return self._events("response.function_call_arguments.delta", **self._where, delta=arguments)

    def close(self, status: str) -> tuple[Item, bytes]:
        item = self._item("".join(self._said), status)
        index = self._where["output_index"]
        return item, self._done(item) + self._events("response.output_item.done", output_index=index, item=item)

    def _item(self, arguments: str, status: str) -> Item:
        return output_items.call_item(*self._named, arguments, status)

    def _done(self, item: Item) -> bytes:
        given = {"name": item["name"], "arguments": item["arguments"]}
        return self._events("response.function_call_arguments.done", **self._where, **given)


class OpenCustomCall(OpenCall):
    """Its input is inside the arguments of the function that stands for it: it comes in one piece, at the end."""

    def add(self, arguments: str) -> bytes:
        self._said.append(arguments)
        return b""

    def _item(self, arguments: str, status: str) -> Item:
        return output_items.custom_call_item(*self._named, arguments, status)

    def _done(self, item: Item) -> bytes:
        given = item["input"]
        told = self._events("response.custom_tool_call_input.delta", **self._where, delta=given)
        return told + self._events("response.custom_tool_call_input.done", **self._where, input=given)


def _part(kind: str, text: str, logprobs: Logprobs) -> dict[str, Any]:
    return output_items.refusal_part(text) if kind == "refusal" else output_items.text_part(text, logprobs)
