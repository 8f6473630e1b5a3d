"""Reads the events of a streamed response, and checks that they are complete, in order and consistent."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

Json = dict[str, Any]
LAST = ("response.completed", "response.incomplete", "response.failed")
# Delta events, the done event that each group adds up to, and its field with the whole.
PIECES = {
    "response.reasoning_text": ("content_index", "text"),
    "response.reasoning_summary_text": ("summary_index", "text"),
    "response.output_text": ("content_index", "text"),
    "response.refusal": ("content_index", "refusal"),
    "response.function_call_arguments": (None, "arguments"),
    "response.custom_tool_call_input": (None, "input"),
}
PARTS = {"response.content_part": "content", "response.reasoning_summary_part": "summary"}


def read(raw: bytes) -> list[Json]:
    """The events of a stream, each under its own name."""
    events = []
    for block in raw.decode().split("\n\n")[:-1]:
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    return events


def check(events: Iterable[Json]) -> Json:
    """The response that the events end in. AssertionError: they contradict it, each other, or the SDK's types."""
    events = [*events]
    known: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    for number, event in enumerate(events):
        assert event["sequence_number"] == number
        assert known.validate_python(event).type == event["type"]
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[0]["response"] == events[1]["response"]
    assert events[0]["response"]["status"] == "in_progress" and events[0]["response"]["output"] == []
    items = _Items()
    for event in events[2:-1]:
        items.follow(event)
    last = events[-1]
    assert last["type"] in LAST and last["type"] == f"response.{last['response']['status']}"
    body: Json = last["response"]
    Response.model_validate(body)
    assert body["id"] == events[0]["response"]["id"]
    assert not items.open, "what was begun is ended"
    assert [items.done[index] for index in sorted(items.done)] == body["output"]
    return body


class _Items:
    def __init__(self) -> None:
        self.open: dict[int, Json] = {}
        self.done: dict[int, Json] = {}
        # The deltas so far by item, kind and index; and the whole that the done event reported.
        self._said: dict[tuple[int, str, int], str] = {}
        self._ended: dict[tuple[int, str, int], str] = {}

    def follow(self, event: Json) -> None:
        kind, index = event["type"], event["output_index"]
        if kind == "response.output_item.added":
            assert index == len(self.open) + len(self.done), "items are numbered as they come"
            self.open[index] = event["item"]
            return
        item = self.open[index]
        if kind == "response.output_item.done":
            self._end(index, item, event["item"])
            return
        assert event["item_id"] == item["id"]
        stem, _, step = kind.rpartition(".")
        if stem in PARTS:
            self._part(PARTS[stem], index, event, step)
        else:
            self._piece(stem, index, event, step)

    def _part(self, field: str, index: int, event: Json, step: str) -> None:
        place = event["content_index" if field == "content" else "summary_index"]
        key = index, event["part"]["type"], place
        text = event["part"].get("text", event["part"].get("refusal"))
        if step == "added":
            assert text == "" and key not in self._said
            self._said[key] = ""
        else:
            assert text == self._ended[key]

    def _piece(self, stem: str, index: int, event: Json, step: str) -> None:
        where, field = PIECES[stem]
        kind = stem.removeprefix("response.").replace("reasoning_summary_text", "summary_text")
        key = index, kind, event[where] if where else 0
        if where is None:
            self._said.setdefault(key, "")
        if step == "delta":
            assert key not in self._ended and event["delta"]
            self._said[key] += event["delta"]
        else:
            assert event[field] == self._said[key]
            self._ended[key] = event[field]

    def _end(self, index: int, begun: Json, item: Json) -> None:
        for name in ("id", "type", "name", "call_id", "role"):
            assert begun.get(name) == item.get(name)
        assert begun["status"] == "in_progress" and item["status"] in ("completed", "incomplete")
        told = {kind: text for (of, kind, _), text in self._ended.items() if of == index}
        parts = [*item.get("content", ()), *item.get("summary", ())]
        final = {part["type"]: part.get("text", part.get("refusal")) for part in parts}
        for field in ("arguments", "input"):
            if field in item:
                final[f"{item['type']}_{field}"] = item[field]
        assert told == final
        self.done[index] = item
        del self.open[index]
