"""Parses tool calls in Hermes format: JSON with name and arguments between <tool_call> and </tool_call>."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

from gateway.embedded.reasoning_parser import overlap

OPEN, CLOSE = "<tool_call>", "</tool_call>"
NAME = re.compile(r'"name"\s*:\s*"([^"]+)"')
ARGUMENTS = re.compile(r'"arguments"\s*:\s*')


@dataclass(frozen=True, slots=True)
class ToolCall:
    name: str
    arguments: str  # JSON

    def shown(self) -> dict[str, Any]:
        function = {"name": self.name, "arguments": self.arguments}
        return {"id": call_id(), "type": "function", "function": function}


def call_id() -> str:
    return f"chatcmpl-tool-{token_hex(8)}"


def parse_calls(text: str) -> tuple[str | None, list[ToolCall]]:
    """The content and calls of a whole answer. If one call is invalid, all of it is content."""
    if OPEN not in text:
        return text, []
    content, *blocks = text.split(OPEN)
    try:
        calls = [_call(json.loads(block.split(CLOSE)[0])) for block in blocks]
    except (ValueError, KeyError, TypeError):
        return text, []
    return content if content.strip() else None, calls


def _call(block: dict[str, Any]) -> ToolCall:
    return ToolCall(block["name"], json.dumps(block["arguments"], ensure_ascii=False))


@dataclass(slots=True)
class _Open:
    """A call that may continue. `sent` is the length of the arguments sent; None: the name was not sent yet."""

    text: str = ""
    sent: int | None = None


@dataclass(slots=True)
class CallStream:
    """Parses calls from pieces of text; the text before the first call is content."""

    _held: str = ""
    _calls: list[_Open] = field(default_factory=list)
    _inside: bool = False

    def push(self, text: str) -> tuple[str, list[dict[str, Any]]]:
        """New content, and new parts of calls in the form of `delta.tool_calls`."""
        text, self._held = self._held + text, ""
        content: list[str] = []
        deltas: list[dict[str, Any]] = []
        while text:
            mark = CLOSE if self._inside else OPEN
            before, found, rest = text.partition(mark)
            if not found:
                keep = overlap(text, mark)
                before, self._held = text[: len(text) - keep], text[len(text) - keep :]
            if self._inside:
                self._calls[-1].text += before
                deltas += _new_deltas(len(self._calls) - 1, self._calls[-1])
            elif not self._calls:
                content.append(before)
            if found:
                self._inside = not self._inside
                self._calls += [_Open()] if self._inside else []
            text = rest
        return "".join(content), deltas

    def finish(self) -> str:
        """Content that was held back and did not become a tag."""
        held, self._held = self._held, ""
        return "" if self._calls else held


def _new_deltas(index: int, call: _Open) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = []
    if call.sent is None:
        name = NAME.search(call.text)
        if not name:
            return []
        call.sent = 0
        head = {"id": call_id(), "type": "function", "index": index}
        deltas.append({**head, "function": {"name": name.group(1)}})
    start = ARGUMENTS.search(call.text)
    if start:
        arguments = call.text[start.end() :]
        arguments = arguments[: _end_of_value(arguments)]
        if len(arguments) > call.sent:
            deltas.append({"index": index, "function": {"arguments": arguments[call.sent :]}})
            call.sent = len(arguments)
    return deltas


def _end_of_value(text: str) -> int:
    """The end of the JSON value that begins `text`; the length of `text` if the value is incomplete."""
    depth, quoted, escaped = 0, False, False
    for index, character in enumerate(text):
        if quoted:
            quoted, escaped = escaped or character != '"', character == "\\" and not escaped
        elif character == '"':
            quoted = True
        elif character in "{[":
            depth += 1
        elif character in "}]":
            depth -= 1
            if depth <= 0:
                return index + (depth == 0)
        elif character == "," and depth == 0:
            return index
    return len(text)
